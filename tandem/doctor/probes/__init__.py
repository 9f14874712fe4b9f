"""One file a child: ``probe(request)`` returns what JSON can hold.

A probe is run by its file, without Tandem's packages, and imports what it probes by name: it may be missing. A
framework's probe has the framework's name in params.yaml and answers with the fields of
:class:`tandem.doctor.facts.Framework`.
"""
