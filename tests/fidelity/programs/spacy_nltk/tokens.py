"""Sentences and stems, with no model and no corpus downloaded."""

import argparse
import pickle
from collections import Counter
from pathlib import Path

import spacy

parser = argparse.ArgumentParser()
parser.add_argument("-l", "--lang", default="en")
parser.add_argument("--stem", dest="stemmer", choices=["none", "porter"], default="none")
args = parser.parse_args()
nlp = spacy.blank(args.lang)
nlp.add_pipe("sentencizer")
doc = nlp(Path("text.txt").read_text("utf-8"))
words = [token.text for token in doc if token.is_alpha]
if args.stemmer == "porter":
    from nltk.stem import PorterStemmer

    words = [PorterStemmer().stem(word) for word in words]
print(len(list(doc.sents)), words, Counter(map(len, words)).most_common(2))
Path("words.pkl").write_bytes(pickle.dumps(words))
