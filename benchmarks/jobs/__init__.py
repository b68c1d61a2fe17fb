"""The measurements. Each is a function of a folder, run in a fresh process, whose answer is plain JSON.

The garbage collector stays on, as in an application.
"""
