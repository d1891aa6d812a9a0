"""Coffea processors that workers import."""

from __future__ import annotations

import awkward as ak
import hist
from coffea import processor


class Dimuon(processor.ProcessorABC):
    """Histograms of the dimuon mass and of jets; ``{"hist": ..., "jets": ..., "events": ...}``."""

    def process(self, events):
        dataset = events.metadata["dataset"]
        axis = hist.axis.StrCategory([dataset], name="dataset", growth=True)
        muons = events.Muon[events.Muon.pt > 3]
        pairs = ak.combinations(muons, 2, fields=["a", "b"])
        pairs = pairs[pairs.a.charge != pairs.b.charge]
        mass = hist.Hist(axis, hist.axis.Regular(60, 0, 180, name="mass"))
        mass.fill(dataset=dataset, mass=ak.flatten((pairs.a + pairs.b).mass))
        jets = hist.Hist(axis, hist.axis.Regular(50, 0, 250, name="pt"), storage="weight")
        pt, weight = ak.broadcast_arrays(events.Jet.pt, events.genWeight)[:2]
        weight, pt = ak.flatten(weight), ak.flatten(pt)
        jets.fill(dataset=dataset, pt=pt, weight=weight)
        return {"mass": mass, "jets": jets, "events": {dataset: len(events)}}

    def postprocess(self, accumulator):
        return accumulator


class Failing(processor.ProcessorABC):
    """Fails on every chunk."""

    def process(self, events):
        raise RuntimeError(f"no luck with {len(events)} events")

    def postprocess(self, accumulator):
        return accumulator
