"""Many networks of one structure trained at once, as one batch of matrices.

Replicates, folds and settings of a search are the same thing here: *members*. Those of one *family* (the same layers
in the same order, whatever their widths) lie behind one another along a leading axis of every array, narrower ones
padded (:mod:`~tandem.population.stack`); a framework's ``population`` module trains them
(``tandem/frameworks/<framework>/population``), and :mod:`~tandem.population.training` applies the rules of
:mod:`tandem.training` to each. Prior art: HFTA (Wang et al., 2021) fuses models of one shape, ParallelMLPs
(Farias et al., 2022) dense networks of several widths.
"""
