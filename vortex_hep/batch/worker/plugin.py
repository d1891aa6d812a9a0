"""The worker plugin: sets up the job's model once, and ignores Ctrl-C."""

from __future__ import annotations

import io
import signal
import threading
from typing import Any

from distributed import WorkerPlugin, get_worker

from vortex_hep.batch.worker.modelbytes import model_bytes
from vortex_hep.errors import ModelMismatchError
from vortex_hep.models.model import Model


class ModelPlugin(WorkerPlugin):
    """Carries a model to every worker, also to those that join later or are started again.

    Parameters
    ----------
    model : Model
    """

    idempotent = True

    def __init__(self, model: Model) -> None:
        self.name = plugin_name(model.sha256)
        self.sha256 = model.sha256
        self._stored = model_bytes(model)
        self._model: Model | None = None
        self._lock: threading.Lock | None = None

    def setup(self, worker: Any) -> None:
        """Run on the worker as it gets the plugin; the model is built when it is first needed."""
        self._lock = threading.Lock()

    @property
    def model(self) -> Model:
        """The model, on a worker.

        Raises
        ------
        ModelMismatchError
            What has arrived is another one.
        """
        with self._lock or threading.Lock():
            if self._model is None:
                self._model = Model.load(io.BytesIO(self._stored))
                self._stored = b""
            if self._model.sha256 != self.sha256:
                raise ModelMismatchError("the model was damaged on its way to this worker")
            return self._model


class DeafPlugin(WorkerPlugin):
    """Lets Ctrl-C in a terminal reach the driver alone, which then ends its workers.

    Only for workers that the driver has started on its machine: they are in its process group.
    """

    name = "vortex-hep-deaf"
    idempotent = True

    def setup(self, worker: Any) -> None:
        """Run on the worker."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)


def plugin_name(sha256: str) -> str:
    """Name of the plugin that carries a model."""
    return f"vortex-hep-model-{sha256[:16]}"


def model_on_worker(sha256: str | None) -> Model | None:
    """The model of a job, on a worker; None for a job without one.

    Parameters
    ----------
    sha256 : str or None

    Raises
    ------
    ModelMismatchError
        This worker was given no such model.
    """
    if sha256 is None:
        return None
    plugin = get_worker().plugins.get(plugin_name(sha256))
    if not isinstance(plugin, ModelPlugin):
        raise ModelMismatchError(f"model {sha256[:16]}... has not come to this worker")
    return plugin.model
