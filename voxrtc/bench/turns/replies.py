"""What the assistant says in the scenes."""

LONG = (
    "Of course. The first trains leave early in the morning from the central station, and most of them arrive before "
    "the shops have opened their doors. If you would rather sleep a little longer, there is another one at nine, "
    "which takes about two hours. It does not run on Sundays.",
    "There are three good ways to make bread at home. The quickest needs only flour, water, salt and a little yeast, "
    "and you leave the dough alone for most of a day. The second one is richer, because it has milk and butter in it. "
    "The third takes a week, but it keeps for another.",
    "The garden was laid out by two brothers who could not agree on anything. One of them loved straight lines, while "
    "the other planted whatever the wind brought him. You can still see where the hedge between them stood, although "
    "it was cut down a long time ago.",
    "Yes, I found your order. It was sent from our warehouse on Tuesday, so it should reach you tomorrow afternoon, or "
    "on Friday at the latest. Somebody has to be there to sign for it, unless you tell us to leave it with a "
    "neighbour. Would that be all right with you?",
)
"""Of ten seconds and more, several clauses each."""

SHORTER = (
    "Of course. The next train leaves at nine from the central station, and takes about two hours.",
    "You only need flour, water, salt and a little yeast, and you leave the dough alone for most of a day.",
    "Your order was sent on Tuesday, so it should reach you tomorrow afternoon, or on Friday at the latest.",
)
"""Of about five seconds."""
