"""The seven expressions of FER-2013, and their order: stated here and nowhere else.

The order is alphabetical, as in Kaggle's folders. `fer2013.csv` counts them in another order
(angry, disgust, fear, happy, sad, surprise, neutral), so names, never bare numbers, cross the border
of a file.
"""

EMOTIONS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
