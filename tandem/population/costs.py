"""When training networks together is faster than one after another: a model of what a step costs.

A step costs something by itself (calls, small operations), and its products of matrices cost by their size. Together
the first is paid once for all networks; the products are small ones either way, at rates that differ. What remains is
what is compiled anew. Each framework's constants are rounded from timings on one core of an x86-64 processor;
``python -m benchmarks population`` shows how well the way that follows from them is chosen. There are none for GPUs.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StackCosts:
    """What training costs a framework, in seconds on one core.

    Attributes:
        program: to trace or compile what trains one network.
        step: of one network, besides its products.
        rate: floating-point operations a second of its products.
        stack_program, stack_step, stack_rate: the same of many networks together; a step of all.
        member: of a step, for each of many networks, besides its products.
    """

    program: float
    step: float
    rate: float
    stack_program: float
    stack_step: float
    stack_rate: float
    member: float


@dataclass(frozen=True)
class Work:
    """Networks to be trained.

    Attributes:
        networks: how many.
        programs: how many of them need a program of their own when trained one after another.
        weights: of each.
        batch_size: rows a step.
        steps: of each, all epochs together.
    """

    networks: int
    programs: int
    weights: int
    batch_size: int
    steps: int


def pays_together(costs: StackCosts, work: Work) -> bool:
    """Return whether training the networks together takes less time."""
    operations = 6 * work.weights * work.batch_size  # two for each weight in each of three products
    alone = work.programs * costs.program + work.networks * work.steps * (costs.step + operations / costs.rate)
    together = costs.stack_program + work.steps * (
        costs.stack_step + work.networks * (costs.member + operations / costs.stack_rate)
    )
    return together < alone
