"""How the voice model's input is made. Apart from the making, so that who only reads a card loads no SciPy (12 MB)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LogMelSpec:
    """How the voice model's input is made; the facts stand in the model's card."""

    sample_rate_hz: int = 16_000
    window_seconds: float = 3.0
    """Length of the model's window; shorter speech is centred in it, longer is cut to its middle."""
    fft_samples: int = 512
    frame_samples: int = 512
    """Length of the Hann window, centred in the FFT; at most `fft_samples`."""
    hop_samples: int = 160
    bands: int = 64
    low_hz: float = 50.0
    high_hz: float = 7600.0
    level_db: float = -20.0
    """RMS of the speech, in dB of full scale, to which every window is brought."""
    floor_db: float = -60.0
    """Band power below this counts as this."""
    mean: tuple[float, ...] = ()
    """dB per band over the training part; [bands], or empty before it is known."""
    std: tuple[float, ...] = ()
    """dB per band over the training part; [bands], or empty before it is known."""

    @property
    def window_samples(self) -> int:
        """Samples of the model's window."""
        return round(self.window_seconds * self.sample_rate_hz)

    @property
    def frames(self) -> int:
        """Frames of the model's window; frames are centred on multiples of the hop."""
        return 1 + self.window_samples // self.hop_samples
