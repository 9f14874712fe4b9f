"""The thresholds of the rules; docs/diagnosis.md gives the reason of each."""

from __future__ import annotations

# Trends
CONFIDENCE = 0.99  # of the intervals of slopes
LEAST_EPOCHS = 5  # fewer points are in a row by chance too often: 2 of 24 orders of four, 2 of 120 of five
WINDOW = 8  # epochs looked at in a short run
WINDOW_SHARE = 0.4  # of the epochs of a long one
LEVEL_EPOCHS = 3  # the level reached is the median of so many epochs
MATERIAL = 0.02  # a change over the window below this share is none, however sure it is
FLOOR = 0.001  # of the baseline: losses below it count as equal, for nothing is left to learn

# Levels, as shares of the baseline's loss that were removed
NOT_STARTED = 0.05  # below it a network has learned nothing
HALF_LEARNED = 0.5  # below it a network underfits, and flat curves are a bottleneck; above it they converged

# Gaps between validation and training loss
SMALL_GAP = 0.05  # of the validation loss: no gap worth a word
LARGE_GAP = 0.3  # of the validation loss ...
COSTLY_GAP = 0.1  # ... and of the baseline: overfitting whatever the trends are
WIDE_GAP = 0.5  # of the validation loss: it need not grow any more to count
RISE = 0.05  # of the validation loss since its best epoch, and fall of the training loss meanwhile
NOISE_FACTOR = 2.5  # standard deviations of the noise that a rise, a gap or a growth of the loss must exceed
MEMORISED = 0.05  # of the baseline: what is left of the training loss when rows are known by heart

# Failures
LOST = 1.5  # times the first epoch's loss: a training that ends above it diverged
GROWTH = 100.0  # times the norm before training: gradients explode
LOSS_GROWTH = 10.0  # times the lowest loss before: the same, told by the loss
VANISHED = 1e-3  # the first layer's gradient norm against the last one's
SWINGS = 0.1  # noise of the training loss from epoch to epoch, as a share of it ...
COSTLY_SWINGS = 0.05  # ... and of the baseline
DECAYED = 0.1  # of the first learning rate: at or below it flat curves may only be frozen
