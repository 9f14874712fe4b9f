"""PyTorch's batch normalisation keeps the statistics that PyTorch's own layer keeps."""

import subprocess
import sys

# Batches of ordinary numbers, of a single row, and one whose variance overflows float32.
SCRIPT = """
import torch
from tandem.frameworks.torch.layers.batch_normalization import BatchNormalization

draw = torch.Generator().manual_seed(0)
ours = BatchNormalization(3, momentum=0.1, epsilon=1e-5, unbiased=True)
theirs = torch.nn.BatchNorm1d(3)
batches = [torch.randn(n, 3, generator=draw) for n in (8, 5, 2)]
huge = torch.tensor([[3e19, 1.0, 2.0], [-3e19, 2.0, 1.0], [1.0, 0.5, 0.0]])
for batch in [*batches, huge, *batches]:
    torch.testing.assert_close(ours(batch), theirs(batch))
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)
assert torch.isinf(ours.running_var[0])

biased = BatchNormalization(3, momentum=0.25, epsilon=1e-3, unbiased=False)
biased(batches[0])
torch.testing.assert_close(biased.running_var, 0.75 + 0.25 * batches[0].var(dim=0, correction=0))
before = biased.running_var.clone()
biased(torch.ones(1, 3))
torch.testing.assert_close(biased.running_var, 0.75 * before)
assert set(biased.state_dict()) == {"weight", "bias", "running_mean", "running_var"}
print("equal")
"""


def test_running_statistics_are_those_of_pytorchs_own_layer():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert done.stdout == "equal\n", done.stderr
