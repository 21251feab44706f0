"""What is told to people: problems, which are codes with their values, and the tables that make sentences of them."""

from app.lib.problem import Coded as Coded
from app.lib.problem import Problem as Problem
from app.lib.problem import text as text
from app.lib.problem import together as together
from app.messages.catalogue import ENGLISH as ENGLISH
from app.messages.catalogue import coded as coded
from app.messages.catalogue import sentence as sentence
