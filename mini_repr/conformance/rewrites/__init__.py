"""Rewrites of a page's definition: one rewrite is one slip that somebody can make.

``folding`` gives the formula under fixed settings, ``kinds`` what each of its parts is, ``left_out``, ``exchanged``,
``masks`` and ``put_in`` the single changes of a part, ``enumerate`` all rewrites of a formula, ``evaluate`` value and
gradients of one, ``naming`` the rewrite that computes what foreign code computes, ``mutants`` what the battery misses.
"""
