"""Checks for the exercises of the course, one module per chapter.

In a chapter: ``from lmcore_exercises import chapter_04 as check``, then ``check.name(your_answer)`` after
each exercise. A check prints whether the answer is right or, if not, what it stumbled over. It never shows
the solution, and it needs nothing of lmcore: it compares with values of its own.
"""
