"""Files, URLs and recordings to text: in windows of at most 28 s, over the verbs of whatever profile runs."""
