"""Images and their captions, each through a tower of its own: CLIP, with a bag of words for the text."""

from mini_repr.methods.method import Method, Step
from mini_repr.methods.state import states_for
from mini_repr.nn import Encoded, Linear, Module, TextEncoder, trimmed
from mini_repr.pages.arguments import Count
from mini_repr.pages.declare import part


class Tower(Module):
    """An encoder and the linear map of its rows into the space where images and texts are compared.

    The map is of the pooled row and, one by one, of the tokens where the encoder has any, as CLIPpy compares patches
    with texts (Ranasinghe et al. 2022, arXiv 2210.09996).
    """

    def __init__(self, encoder, head):
        self.encoder, self.head = encoder, head

    def tokenise(self, texts):
        return self.encoder.tokenise(texts)

    def forward(self, *inputs):
        encoded = self.encoder(*inputs)
        return Encoded(self.head(encoded.pooled), None if encoded.tokens is None else self.head(encoded.tokens))


@part("method", "image_text", paper=("051", "109"))
class ImageText(Method):
    """Images with a caption each: an image encoder, a text encoder, and a linear map of each into one space.

    Radford et al. 2021, arXiv 2103.00020, section 2.4 (CLIP), by any loss of pairs (images first); that paper's is
    ``infonce``, its temperature learned (``--set 'loss.learn=["temperature"]'``). The text encoder is ``text``, the
    mean of word embeddings and an MLP of the image encoder's width. A batch may hold a caption twice: a false negative.

    CLIPpy (Ranasinghe et al. 2022, arXiv 2210.09996) is ``--set encoder.pooling=max``: an image's row then is made of
    the patches where each column is largest, and the same linear map takes a patch to the texts, so that ``mini-repr
    eval`` can say what every patch shows though no training image came with a mask. Read: the first author's code
    (kahnchana/clippy): maximum over the patch tokens without the class token, then a linear map (timm's "global_max"
    and "linear"), half of the patches dropped in training, and a start from DINO; here all patches are seen, and a
    start is ``--init-from`` a run of any method on images of that shape.

    M2-Encoder (Guo et al. 2024, arXiv 2401.15896) trains on captions of two languages, mixed, and compares pairs within
    groups of ranks: ``--data captions --set data.language=mixed --set train.loss_groups=2``.

    Args:
        dimensions: of the space in which both are compared.
    """

    compares = ("pairs", "embeddings")
    takes = "captions"

    def __init__(self, parts, *, dimensions: Count() = 64):
        super().__init__(parts)
        rng, width = parts.rng, self.encoder.width
        self.loss_states = states_for(self.objective, parts.data, dimensions, rng)
        self.text_encoder = self.make_text_encoder(parts)
        self.image_map = Linear(width, dimensions, rng, bias=False)
        self.text_map = Linear(width, dimensions, rng, bias=False)

    @classmethod
    def fits(cls, loss):
        return super().fits(loss) and not loss.sequences

    def make_text_encoder(self, parts):
        """The encoder of captions, as wide as that of images."""
        width = self.encoder.width
        return TextEncoder(parts.rng, embedding=width, width=width, hidden=width)

    @property
    def towers(self):
        """The two sides, images and texts: modules to ``Encoded``."""
        return Tower(self.encoder, self.image_map), Tower(self.text_encoder, self.text_map)

    def load(self, part, backend):
        return super().load(part, backend) + self.text_encoder.tokenise(part.texts)

    def sample(self, images, ids, mask, rng):
        return images, *trimmed(ids, mask)

    def embed(self, images, ids, mask):
        of_images, of_texts = self.towers
        return of_images(images).pooled, of_texts(ids, mask).pooled

    def compare(self, rows, targets, batch, objective):
        za, zb = rows
        return Step(self.compare_two(za, zb, batch, objective, rows), za.data)
