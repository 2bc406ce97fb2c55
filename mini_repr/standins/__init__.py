"""Small models, trained here from generated data, that stand for large pretrained ones.

``get(name)`` gives one trained, from a file that is kept on this machine, or trains it. Nothing trained is in the
package. A judge is never also what is optimised, and its own ceiling stands beside every score it gives.
"""

from mini_repr.standins.agreement import agreement
from mini_repr.standins.store import STANDINS, gates, get
