"""What the voices of the bench say: replies of an assistant, cut into clauses as a dialogue cuts them."""

from __future__ import annotations

from voxrtc.errors import VoxrtcError

REPLIES: dict[str, tuple[str, ...]] = {
    "en": (
        "Good morning,| and thank you for calling.| The shop opens at nine, and it closes at half past five.",
        "Yes, of course.| I have found three trains that leave before noon, and the first of them is the fastest.",
        "That depends on the weather.| If it rains we stay inside, and if it does not we walk along the river.",
        "I am sorry,| I did not understand the last word.| Could you say it again, please?",
    ),
    "es": (
        "Buenos días, y gracias por llamar.| La tienda abre a las nueve y cierra a las cinco y media.",
        "Sí, claro.| He encontrado tres trenes que salen antes del mediodía, y el primero es el más rápido.",
    ),
    "fr": (
        "Bonjour, et merci de votre appel.| Le magasin ouvre à neuf heures et il ferme à cinq heures et demie.",
        "Oui, bien sûr.| J'ai trouvé trois trains qui partent avant midi, et le premier est le plus rapide.",
    ),
    "de": (
        "Guten Morgen,| und danke für Ihren Anruf.| Der Laden öffnet um neun Uhr und schließt um halb sechs.",
        "Ja, natürlich.| Ich habe drei Züge gefunden, die vor dem Mittag fahren, und der erste ist der schnellste.",
    ),
    "it": (
        "Buongiorno, e grazie per la chiamata.| Il negozio apre alle nove e chiude alle cinque e mezza.",
        "Sì, certo.| Ho trovato tre treni che partono prima di mezzogiorno, e il primo è il più veloce.",
    ),
    "pt": (
        "Bom dia, e obrigado por ligar.| A loja abre às nove e fecha às cinco e meia.",
        "Sim, claro.| Encontrei três comboios que partem antes do meio-dia, e o primeiro é o mais rápido.",
    ),
}
"""By language; a bar parts two clauses. Numbers are written out, to be compared with what whisper hears."""


def replies(language: str) -> list[list[str]]:
    """The replies of a language as clauses, as a voice is given them. Raises VoxrtcError where there are none."""
    if language not in REPLIES:
        raise VoxrtcError(f"bench tts has no text in '{language}'; it has some in {', '.join(REPLIES)}")
    return [[clause.strip() for clause in reply.split("|")] for reply in REPLIES[language]]
