"""What ``tandem doctor`` does: gathers facts, checks them, and says what to do about what is wrong.

It has to work where things are broken, so it needs nothing but Python's standard library, and it never imports a
framework, NVML, DVC or Prefect into its own process: each is probed in a child with a time limit.

``gathering`` makes :class:`~tandem.doctor.facts.Facts` (with the help of ``probes/``, one file a child), each
module of ``checks/`` turns facts into findings, and ``drawing`` shows them.
"""
