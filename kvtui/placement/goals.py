"""What a pair of K/V types can be recommended for."""

from typing import Literal, get_args

Goal = Literal["decode", "context", "memory"]
GOALS: tuple[Goal, ...] = get_args(Goal)
