"""Describes a stretch of music by numbers that have names: rhythm, dynamics, colour, harmony."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import librosa
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from scipy.signal import find_peaks

from device.analysis.decode import RATE_HZ, NothingToHear, Sound

WINDOW_SECONDS = 15.0
"""A song is heard in stretches as long as those that the model learned from."""
WINDOWS = 4
LEAST_SECONDS = 3.0
"""Less sound than this is not judged."""
SILENCE_DB = -65.0
"""Mean level (dB of full scale) under which a stretch counts as silent."""
LEVEL = 0.1
"""Every stretch is brought to this root mean square before anything but its loudness is measured."""

FFT, HOP = 1024, 256
BANDS = 64
LOW_HZ, HIGH_HZ = 40.0, 7500.0
HISS_DB = -55.0
"""Level of the even noise that is added to every stretch, under its own: what lies below it is inaudible, and differs
between a coded clip, a clean file and a synthesiser more than between moods."""
RANGE_DB = 60.0
"""What is further below the loudest band of a stretch is taken as silence."""
LONG_FFT, LONG_HOP = 8192, 4096
FRAME_RATE_HZ = RATE_HZ / HOP
PEAKS = 20
"""Partials a frame, of the long transform, that harmony and roughness are read from."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Stretch:
    """One stretch of a song, transformed once for everything that is read from it."""

    loudness_db: float
    """Mean level, dB of full scale."""
    samples: Sound
    power: NDArray[np.float32]
    """[1 + FFT / 2, frames]."""
    mel_db: NDArray[np.float32]
    """[BANDS, frames], dB, at most RANGE_DB under its peak."""
    peaks_hz: Array
    """[frames, PEAKS] of the long transform; 0 where there are fewer."""
    peaks_level: Array
    """[frames, PEAKS], linear amplitude, 0 where there are fewer."""


def stretches(samples: Sound) -> list[Sound]:
    """Up to WINDOWS stretches of WINDOW_SECONDS, evenly spaced and not silent; NothingToHear when there is none."""
    length = int(WINDOW_SECONDS * RATE_HZ)
    if len(samples) < LEAST_SECONDS * RATE_HZ:
        raise NothingToHear(f"{len(samples) / RATE_HZ:.1f} s of sound, where {LEAST_SECONDS:.0f} s are needed")
    count = min(WINDOWS, max(1, len(samples) // length))
    starts = np.linspace(0, max(0, len(samples) - length), count).astype(int)
    kept = [part for part in (samples[start : start + length] for start in starts) if _level_db(part) > SILENCE_DB]
    if not kept:
        raise NothingToHear("silent from end to end")
    return kept


def describe(samples: Sound) -> Array:
    """The features of one stretch, in the order of `feature_names`."""
    stretch = transform(samples)
    return np.array([value for _, _, value in _measured(stretch)], dtype=np.float64)


def tempo_of(samples: Sound) -> tuple[float, float]:
    """Beats a minute of one stretch, and how clear the pulse is, 0 … 1."""
    return _tempo(_onset_strength(transform(samples).mel_db))


def transform(samples: Sound) -> Stretch:
    """Bring a stretch to the common level and transform it."""
    loudness_db = _level_db(samples)
    levelled = (samples * (LEVEL / max(10 ** (loudness_db / 20), 1e-9)) + _hiss(len(samples))).astype(np.float32)
    power = np.abs(librosa.stft(levelled, n_fft=FFT, hop_length=HOP)) ** 2
    mel = 10 * np.log10(_mel_filters() @ power + 1e-10)
    mel = np.maximum(mel, mel.max() - RANGE_DB)
    peaks_hz, peaks_level = _partials(levelled)
    return Stretch(loudness_db, levelled, power, mel.astype(np.float32), peaks_hz, peaks_level)


def _level_db(samples: Sound) -> float:
    return float(10 * np.log10(np.mean(samples.astype(np.float64) ** 2) + 1e-12))


@lru_cache(maxsize=2)
def _hiss(count: int) -> Sound:
    """The same noise every time, so that a song is heard the same every time."""
    noise = np.random.default_rng(0).standard_normal(count, dtype=np.float32)
    return noise * np.float32(LEVEL * 10 ** (HISS_DB / 20))


@lru_cache(maxsize=1)
def _mel_filters() -> NDArray[np.float32]:
    filters: NDArray[np.float32] = librosa.filters.mel(
        sr=RATE_HZ, n_fft=FFT, n_mels=BANDS, fmin=LOW_HZ, fmax=HIGH_HZ, dtype=np.float32
    )
    return filters


def _partials(samples: Sound) -> tuple[Array, Array]:
    """Frequencies and amplitudes of the strongest spectral peaks of each frame, [frames, PEAKS] each."""
    if len(samples) < LONG_FFT:
        samples = np.pad(samples, (0, LONG_FFT - len(samples)))
    spectrum = np.abs(librosa.stft(samples, n_fft=LONG_FFT, hop_length=LONG_HOP, center=False)).T.astype(np.float64)
    level = np.log(spectrum + 1e-9)
    middle, left, right = level[:, 1:-1], level[:, :-2], level[:, 2:]
    bins = np.arange(1, spectrum.shape[1] - 1)
    audible = (bins * RATE_HZ / LONG_FFT > 55) & (bins * RATE_HZ / LONG_FFT < 5000)
    is_peak = (middle > left) & (middle >= right) & audible & (middle > level.max(axis=1, keepdims=True) - 6.9)
    strength = np.where(is_peak, spectrum[:, 1:-1], 0.0)
    best = np.argsort(-strength, axis=1)[:, :PEAKS]
    rows = np.arange(len(spectrum))[:, np.newaxis]
    curve = left[rows, best] - 2 * middle[rows, best] + right[rows, best]
    shift = 0.5 * (left[rows, best] - right[rows, best]) / np.where(np.abs(curve) < 1e-9, 1.0, curve)
    amplitude = strength[rows, best]
    hz = np.where(amplitude > 0, (bins[best] + np.clip(shift, -0.5, 0.5)) * RATE_HZ / LONG_FFT, 0.0)
    return hz, amplitude


Named = Iterator[tuple[str, float]]


def _loudness(stretch: Stretch) -> Named:
    yield "loudness_db", stretch.loudness_db


def _spread(name: str, values: Any) -> Named:
    """Mean and deviation over time."""
    yield f"{name}_mean", float(np.mean(values))
    yield f"{name}_std", float(np.std(values))


# --- dynamics -----------------------------------------------------------------------------------------------------


def _dynamics(stretch: Stretch) -> Named:
    """Levels in dB about the mean level, of frames of 64 ms."""
    level = 10 * np.log10(stretch.power.sum(axis=0) + 1e-6)
    low, middle, high = np.percentile(level, [10, 50, 95])
    yield "level_range_db", float(high - low)
    yield "level_skew_db", float(high - 2 * middle + low)
    yield "level_std_db", float(np.std(level))
    yield "level_change_db", float(np.mean(np.abs(np.diff(level))))
    yield "quiet_share", float(np.mean(level < level.max() - 20))
    half = len(level) // 2
    yield "swell_db", float(np.mean(level[half:]) - np.mean(level[:half]))
    yield "crest_db", float(20 * np.log10(np.max(np.abs(stretch.samples)) / LEVEL + 1e-9))
    loudest = np.percentile(np.abs(stretch.samples), [50, 90, 99])
    yield "peaky_50_db", float(20 * np.log10(loudest[0] / LEVEL + 1e-4))
    yield "peaky_99_db", float(20 * np.log10(loudest[2] / LEVEL + 1e-4))


# --- rhythm -------------------------------------------------------------------------------------------------------


def _rhythm(stretch: Stretch) -> Named:
    onset = _onset_strength(stretch.mel_db)
    seconds = len(onset) / FRAME_RATE_HZ
    peaks, facts = find_peaks(onset, height=onset.mean() + 0.5 * onset.std(), distance=4, prominence=0.5 * onset.std())
    heights = facts["peak_heights"]
    gaps = np.diff(peaks) / FRAME_RATE_HZ
    yield "onset_rate_hz", len(peaks) / seconds
    yield "onset_height_db", float(heights.mean()) if len(heights) else 0.0
    yield "onset_gap_cv", float(gaps.std() / gaps.mean()) if len(gaps) > 1 else 1.0
    yield from _spread("onset_db", onset)
    yield "onset_skew", float(np.mean((onset - onset.mean()) ** 3) / (onset.std() ** 3 + 1e-9))
    tempo, clarity = _tempo(onset)
    yield "tempo_log2", float(np.log2(tempo / 120))
    yield "pulse_clarity", clarity
    beats = _autocorrelation(onset)
    for name, factor in (("half", 2.0), ("double", 0.5), ("triple", 1 / 3)):
        lag = 60 / tempo * FRAME_RATE_HZ * factor
        yield f"pulse_{name}", float(np.interp(lag, np.arange(len(beats)), beats))
    low, high = stretch.mel_db[:12], stretch.mel_db[40:]
    for name, bands in (("low", low), ("high", high)):
        part = _onset_strength(bands)
        yield f"onset_{name}_db", float(part.mean())
        yield f"pulse_{name}", _tempo(part)[1]
    yield from _percussion(stretch)


def _onset_strength(mel_db: NDArray[np.float32]) -> Array:
    """Mean rise over the bands between frames 48 ms apart, dB, [frames]."""
    strength = librosa.onset.onset_strength(S=mel_db, sr=RATE_HZ, hop_length=HOP, lag=3, center=False)
    return np.asarray(strength, dtype=np.float64)


def _autocorrelation(values: Array) -> Array:
    """Of the values without their mean, 1 at lag 0, each lag by the number of its pairs."""
    centred = values - values.mean()
    size = 2 ** int(np.ceil(np.log2(2 * len(values))))
    raw = np.fft.irfft(np.abs(np.fft.rfft(centred, size)) ** 2)[: len(values)]
    pairs = np.arange(len(values), 0, -1)
    return np.asarray(raw / pairs / (raw[0] / len(values) + 1e-9), dtype=np.float64)


TEMPI = 60.0 * 2 ** np.arange(-0.6, 1.75, 0.005)
"""Beats a minute that are looked at: 40 … 201, in steps of 0.35 %."""
TEMPO_PRIOR = np.exp(-0.5 * (np.log2(TEMPI / 115) / 1.1) ** 2)
HALF_BEAT_COST = 0.12
"""What a beat loses when the onsets repeat after half of it just as well: then that half may be the beat."""


def _tempo(onset: Array) -> tuple[float, float]:
    """Beats a minute and the clarity of the pulse: the comb of lags at which the onsets repeat best.

    After the autocorrelation tempo with a log-normal prior of Ellis (J. New Music Research 36, 2007), with the beat's
    multiples beside it so that the lag is known to a fraction of a frame.
    """
    beats = np.convolve(
        _autocorrelation(np.convolve(onset, np.hanning(7)[1:-1] / 3, "same")), [0.25, 0.5, 0.25], "same"
    )
    lags = np.arange(len(beats))
    beat = 60 / TEMPI * FRAME_RATE_HZ
    reach = 0.6 * len(beats)
    total, weight = np.zeros_like(beat), np.zeros_like(beat)
    for multiple, share in ((1, 1.0), (2, 0.7), (3, 0.5), (4, 0.7), (6, 0.4), (8, 0.5)):
        inside = beat * multiple < reach
        total += np.where(inside, share * np.interp(beat * multiple, lags, beats), 0.0)
        weight += np.where(inside, share, 0.0)
    comb = total / np.maximum(weight, 1e-9) - HALF_BEAT_COST * np.maximum(np.interp(beat / 2, lags, beats), 0)
    best = int(np.argmax(comb * TEMPO_PRIOR))
    return float(TEMPI[best]), float(np.clip(comb[best], 0, 1))


def _percussion(stretch: Stretch) -> Named:
    """Shares of what is broad and short against what is narrow and long (Fitzgerald, DAFx 2010), on mel bands."""
    mel = 10 ** (stretch.mel_db[:, ::2] / 20)
    held, struck = median_filter(mel, (1, 21)), median_filter(mel, (13, 1))
    share = struck**2 / (held**2 + struck**2 + 1e-12)
    weight = mel**2
    yield "percussive_share", float((share * weight).sum() / weight.sum())
    for name, part in (("low", slice(0, 12)), ("middle", slice(12, 40)), ("high", slice(40, BANDS))):
        yield f"percussive_{name}", float((share[part] * weight[part]).sum() / (weight[part].sum() + 1e-12))


# --- colour -------------------------------------------------------------------------------------------------------


def _colour(stretch: Stretch) -> Named:
    """Shape of the spectrum up to HIGH_HZ; octaves are about 1 kHz, which is near how an ear hears brightness."""
    hz = np.arange(stretch.power.shape[0]) * RATE_HZ / FFT
    inside = (hz >= LOW_HZ) & (hz <= HIGH_HZ)
    power, octave = stretch.power[inside], np.log2(hz[inside] / 1000)
    level = power.sum(axis=0)
    loud = level > level.max() * 1e-4
    power, level = power[:, loud], level[loud]
    centre = (octave[:, np.newaxis] * power).sum(axis=0) / level
    width = np.sqrt((((octave[:, np.newaxis] - centre) ** 2) * power).sum(axis=0) / level)
    yield from _spread("centroid_octave", centre)
    yield from _spread("width_octave", width)
    rising = np.cumsum(power, axis=0) / level
    for share in (0.5, 0.85, 0.95):
        yield from _spread(f"rolloff_{100 * share:.0f}_octave", octave[np.argmax(rising >= share, axis=0)])
    amplitude = np.sqrt(power)
    linear = (hz[inside][:, np.newaxis] * amplitude).sum(axis=0) / amplitude.sum(axis=0)
    yield from _spread("brightness_khz", linear / 1000)
    flatness = librosa.feature.spectral_flatness(S=power, amin=1e-8, power=1.0)[0]
    yield from _spread("flatness_db", 10 * np.log10(flatness + 1e-6))
    shape = power / level
    yield from _spread("flux", np.sqrt((np.diff(np.sqrt(shape), axis=1) ** 2).sum(axis=0)))
    crossings = np.abs(np.diff(np.signbit(stretch.samples[: len(stretch.samples) // FFT * FFT]).astype(np.int8)))
    crossings = np.append(crossings, 0).reshape(-1, FFT).mean(axis=1)
    yield from _spread("zero_crossings", crossings)
    below = hz <= HIGH_HZ
    contrast = librosa.feature.spectral_contrast(S=np.sqrt(stretch.power[below]), freq=hz[below], n_bands=5, fmin=200)
    for band, values in enumerate(contrast):
        yield from _spread(f"contrast_{band}_db", values)


# --- harmony ------------------------------------------------------------------------------------------------------

MAJOR = np.array([5.0, 2.0, 3.5, 2.0, 4.5, 4.0, 2.0, 4.5, 2.0, 3.5, 1.5, 4.0])
MINOR = np.array([5.0, 2.0, 3.5, 4.5, 2.0, 4.0, 2.0, 4.5, 3.5, 2.0, 1.5, 4.0])
"""Key profiles of Temperley (The Cognition of Basic Musical Structures, 2001)."""


def _harmony(stretch: Stretch) -> Named:
    hz, level = stretch.peaks_hz, stretch.peaks_level
    there = level > 0
    tuning = _tuning(hz, level)
    chroma = _chroma(hz, level, tuning)
    yield from _key(chroma)
    tonnetz = librosa.feature.tonnetz(chroma=chroma, sr=RATE_HZ)
    for axis, values in enumerate(tonnetz):
        yield f"tonnetz_{axis}_std", float(values.std())
    yield "harmony_reach", float(np.sqrt((tonnetz.mean(axis=1) ** 2).sum()))
    yield from _spread("harmony_change", np.sqrt((np.diff(tonnetz, axis=1) ** 2).sum(axis=0)))
    spread = chroma / (chroma.sum(axis=0) + 1e-9)
    yield from _spread("chroma_entropy", -(spread * np.log2(spread + 1e-9)).sum(axis=0))
    yield from _spread("roughness", _roughness(hz, level))
    pitch = np.where(there, np.log2(np.maximum(hz, 1) / 440), 0.0)
    weight = np.where(there, np.sqrt(level), 0.0)
    total = weight.sum(axis=1) + 1e-9
    register = (pitch * weight).sum(axis=1) / total
    yield from _spread("register_octave", register)
    yield "register_change", float(np.mean(np.abs(np.diff(register))))
    strongest = pitch[np.arange(len(pitch)), level.argmax(axis=1)]
    yield from _spread("strongest_octave", strongest)
    yield from _spread("partials", there.sum(axis=1))
    yield "peak_share", float(np.log10((level**2).sum() / (stretch.power.sum() + 1e-9) + 1e-6))
    yield "mistuned", float(_distance_from_semitones(hz, level, tuning))


def _tuning(hz: Array, level: Array) -> float:
    """How far the partials lie from equal temperament at 440 Hz, semitones, −0.5 … 0.5: their mean as a direction."""
    off = 12 * np.log2(np.maximum(hz, 1) / 440)
    return float(np.angle(np.sum(level * np.exp(2j * np.pi * off))) / (2 * np.pi))


def _distance_from_semitones(hz: Array, level: Array, tuning: float) -> float:
    off = 12 * np.log2(np.maximum(hz, 1) / 440) - tuning
    return float((level * np.abs(off - np.round(off))).sum() / (level.sum() + 1e-9))


def _chroma(hz: Array, level: Array, tuning: float) -> Array:
    """[12, frames], C first, from the partials: each one lends to its pitch class and, if between two, to both."""
    pitch = 12 * np.log2(np.maximum(hz, 1) / 440) - tuning + 9
    lower = np.floor(pitch)
    part = pitch - lower
    chroma = np.zeros((12, len(hz)))
    frames = np.broadcast_to(np.arange(len(hz))[:, np.newaxis], hz.shape)
    strength = np.sqrt(level)
    np.add.at(chroma, (lower.astype(int) % 12, frames), strength * (1 - part))
    np.add.at(chroma, ((lower.astype(int) + 1) % 12, frames), strength * part)
    return np.asarray(chroma / (chroma.max(axis=0) + 1e-9), dtype=np.float64)


def _key(chroma: Array) -> Named:
    mean = chroma.mean(axis=1)
    major, minor = _fit(mean, MAJOR), _fit(mean, MINOR)
    every = np.sort(np.concatenate([major, minor]))
    yield "mode", float(major.max() - minor.max())
    yield "key_clarity", float(every[-1])
    yield "key_lead", float(every[-1] - every[-3])
    tonic = int(np.argmax(np.maximum(major, minor)))
    turned = np.roll(mean, -tonic) / (mean.sum() + 1e-9)
    yield "third_balance", float(turned[4] - turned[3])
    yield "fifth_weight", float(turned[7] + turned[0])
    yield "tritone_weight", float(turned[6] + turned[1])
    spans = np.array_split(chroma, max(1, chroma.shape[1] // 12), axis=1)
    modes = [_fit(span.mean(axis=1), MAJOR).max() - _fit(span.mean(axis=1), MINOR).max() for span in spans]
    yield "mode_local", float(np.mean(modes))
    yield "mode_moves", float(np.std(modes))
    yield "chroma_peak", float(mean.max() / (mean.mean() + 1e-9))


def _fit(mean: Array, profile: Array) -> Array:
    """Correlation of a mean chroma with the profile in each of the twelve keys."""
    centred = mean - mean.mean()
    turned = np.stack([np.roll(profile, step) for step in range(12)])
    turned = turned - turned.mean(axis=1, keepdims=True)
    scale = np.sqrt((turned**2).sum(axis=1) * (centred**2).sum()) + 1e-9
    return np.asarray(turned @ centred / scale, dtype=np.float64)


def _roughness(hz: Array, level: Array) -> Array:
    """Beating of each frame's partials, [frames]: Sethares' fit to Plomp and Levelt (JASA 94, 1993), level apart."""
    level = level / (np.sqrt((level**2).sum(axis=1, keepdims=True)) + 1e-9)
    low = np.minimum(hz[:, :, np.newaxis], hz[:, np.newaxis, :])
    apart = np.abs(hz[:, :, np.newaxis] - hz[:, np.newaxis, :]) * 0.24 / (0.021 * low + 19)
    beating = np.exp(-3.5 * apart) - np.exp(-5.75 * apart)
    strength = level[:, :, np.newaxis] * level[:, np.newaxis, :]
    return np.asarray((strength * beating).sum(axis=(1, 2)) / 2, dtype=np.float64)


# --- timbre and its movement --------------------------------------------------------------------------------------

CEPSTRA = 20


def _cepstrum(stretch: Stretch) -> Named:
    cepstra = librosa.feature.mfcc(S=stretch.mel_db, n_mfcc=CEPSTRA)
    change = np.diff(cepstra[:, ::3], axis=1)
    for index in range(CEPSTRA):
        if index:
            yield f"cepstrum_{index}_mean", float(cepstra[index].mean())
        yield f"cepstrum_{index}_std", float(cepstra[index].std())
        yield f"cepstrum_{index}_change", float(np.abs(change[index]).mean())


def _pooled(mel_db: NDArray[np.float32], bands: int) -> NDArray[np.float32]:
    """Neighbouring bands joined, dB."""
    return np.asarray(mel_db.reshape(bands, -1, mel_db.shape[1]).mean(axis=1), dtype=np.float32)


def _bands(stretch: Stretch) -> Named:
    """Quartiles of 32 bands about the stretch's mean level, and how fast they move."""
    bands = _pooled(stretch.mel_db, 32)
    centred = bands - bands.mean()
    for share in (10, 50, 90):
        for band, value in enumerate(np.percentile(centred, share, axis=1)):
            yield f"band_{band}_p{share}_db", float(value)
    rise = bands[:, 3:] - bands[:, :-3]
    for band, value in enumerate(np.percentile(rise, 90, axis=1)):
        yield f"band_{band}_rise_db", float(value)
    for band, value in enumerate(rise.std(axis=1)):
        yield f"band_{band}_move_db", float(value)


FLUCTUATIONS_HZ = (0.3, 0.6, 1.0, 1.5, 2.0, 2.7, 3.5, 4.5, 6.0, 8.0, 11.0)


def _fluctuation(stretch: Stretch) -> Named:
    """How strongly 8 groups of bands swell at each pace (after Pampalk, fluctuation patterns, 2002), dB."""
    bands = _pooled(stretch.mel_db, 8)
    swelling = np.abs(np.fft.rfft((bands - bands.mean(axis=1, keepdims=True)) * np.hanning(bands.shape[1]), axis=1))
    swelling /= bands.shape[1]
    pace = np.fft.rfftfreq(bands.shape[1], 1 / FRAME_RATE_HZ)
    for low, high in itertools.pairwise(FLUCTUATIONS_HZ):
        inside = (pace >= low) & (pace < high)
        inside[np.argmin(np.abs(pace - (low + high) / 2))] = True
        for band, value in enumerate(np.sqrt((swelling[:, inside] ** 2).mean(axis=1))):
            yield f"swell_{band}_{low}_hz", float(20 * np.log10(value + 1e-3))


def _togetherness(stretch: Stretch) -> Named:
    """How 10 groups of bands move together (after Seyerlehner's correlation pattern, 2010)."""
    bands = np.stack([part.mean(axis=0) for part in np.array_split(stretch.mel_db, 10)])
    bands = bands - bands.mean(axis=1, keepdims=True)
    size = np.sqrt((bands**2).sum(axis=1)) + 1e-6
    together = (bands @ bands.T) / np.outer(size, size)
    for low in range(10):
        for high in range(low + 1, 10):
            yield f"together_{low}_{high}", float(together[low, high])


LAGS_SECONDS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.375, 0.45, 0.55, 0.7, 0.85, 1.05, 1.3, 1.6, 2.0)


def _pattern(stretch: Stretch) -> Named:
    """How strongly the onsets of three ranges repeat after each lag, and how they fall on the beat."""
    tempo, _ = _tempo(_onset_strength(stretch.mel_db))
    for name, bands in (("bass", slice(0, 12)), ("voice", slice(12, 40)), ("top", slice(40, BANDS))):
        beats = _autocorrelation(_onset_strength(stretch.mel_db[bands]))
        smooth = np.convolve(beats, np.ones(5) / 5, "same")
        edges = (np.array(LAGS_SECONDS) * FRAME_RATE_HZ).astype(int)
        for low, high, lag in zip(edges[:-1], edges[1:], LAGS_SECONDS[:-1], strict=True):
            yield f"repeat_{name}_{lag}_s", float(smooth[low:high].max())
        beat = 60 / tempo * FRAME_RATE_HZ
        for ratio in (0.25, 0.5, 1.0, 1.5, 2.0, 4.0):
            yield f"repeat_{name}_{ratio}_beats", float(np.interp(beat * ratio, np.arange(len(smooth)), smooth))


def _grain(stretch: Stretch) -> Named:
    """Noise against tone in eight ranges, and how the level is shared between them and moves at three paces."""
    hz = np.arange(stretch.power.shape[0]) * RATE_HZ / FFT
    edges = (40, 120, 250, 500, 1000, 1800, 3000, 5000, 7500)
    total = stretch.power.sum(axis=0) + 1e-9
    for low, high in itertools.pairwise(edges):
        part = stretch.power[(hz >= low) & (hz < high)] + 1e-7
        mean = part.mean(axis=0)
        yield from _spread(f"grain_{low}_db", 10 * (np.log10(part).mean(axis=0) - np.log10(mean)))
        yield from _spread(f"peak_{low}_db", 10 * np.log10(part.max(axis=0) / mean))
        yield from _spread(f"share_{low}_db", 10 * np.log10(part.sum(axis=0) / total + 1e-5))
    level = 10 * np.log10(total)
    for frames in (6, 31, 125):
        whole = len(level) // frames * frames
        slow = level[:whole].reshape(-1, frames)
        yield f"level_std_{frames}_db", float(slow.mean(axis=1).std())
        yield f"level_within_{frames}_db", float(slow.std(axis=1).mean())


CHORDS = {
    "major": (0, 4, 7), "minor": (0, 3, 7), "diminished": (0, 3, 6), "augmented": (0, 4, 8),
    "fourth": (0, 5, 7), "fifth": (0, 7), "seventh": (0, 4, 7, 10), "minor_seventh": (0, 3, 7, 10),
    "major_seventh": (0, 4, 7, 11),
}  # fmt: skip


def _chords(stretch: Stretch) -> Named:
    hz, level = stretch.peaks_hz, stretch.peaks_level
    tuning = _tuning(hz, level)
    chroma = _chroma(hz, level, tuning)
    smooth = np.apply_along_axis(lambda row: np.convolve(row, np.ones(3) / 3, "same"), 1, chroma)
    unit = smooth / (np.sqrt((smooth**2).sum(axis=0)) + 1e-9)
    fits = {}
    for name, steps in CHORDS.items():
        template = np.zeros(12)
        template[list(steps)] = 1 / np.sqrt(len(steps))
        fits[name] = np.stack([np.roll(template, root) for root in range(12)]) @ unit
        yield f"chord_{name}", float(fits[name].max(axis=0).mean())
    three = np.concatenate([fits["major"], fits["minor"]])
    best = three.argmax(axis=0)
    yield "major_share", float(np.mean(best < 12))
    yield "chord_change", float(np.mean(np.diff(best) != 0))
    yield "chord_count", float(len(np.unique(best)))
    yield from _spread("chord_lead", three.max(axis=0) - np.sort(three, axis=0)[-2])
    for step in range(1, 7):
        yield f"interval_{step}", float((unit * np.roll(unit, step, axis=0)).sum(axis=0).mean())
    mean = chroma.mean(axis=1)
    tonic = int(np.argmax(np.maximum(_fit(mean, MAJOR), _fit(mean, MINOR))))
    for step, value in enumerate(np.roll(mean, -tonic) / (mean.sum() + 1e-9)):
        yield f"degree_{step}", float(value)
    for name, low, high in (("bass", 55, 220), ("middle", 220, 880), ("high", 880, 5000)):
        part = _chroma(hz, np.where((hz >= low) & (hz < high), level, 0), tuning).mean(axis=1)
        yield f"mode_{name}", float(_fit(part, MAJOR).max() - _fit(part, MINOR).max())
        share = part / (part.sum() + 1e-9)
        yield f"entropy_{name}", float(-(share * np.log2(share + 1e-9)).sum())


def _melody(stretch: Stretch) -> Named:
    """The strongest partial between 150 and 2000 Hz of every 64 ms: how far it moves, how long it stays."""
    spectrum = np.abs(librosa.stft(stretch.samples, n_fft=4096, hop_length=1024))
    hz = np.arange(spectrum.shape[0]) * RATE_HZ / 4096
    inside = (hz > 150) & (hz < 2000)
    part = np.log(spectrum[inside] + 1e-6)
    best = np.clip(part.argmax(axis=0), 1, len(part) - 2)
    columns = np.arange(part.shape[1])
    left, middle, right = part[best - 1, columns], part[best, columns], part[best + 1, columns]
    shift = np.clip(0.5 * (left - right) / np.minimum(left - 2 * middle + right, -1e-6), -0.5, 0.5)
    pitch = 12 * np.log2((hz[inside][best] + shift * RATE_HZ / 4096) / 440)
    move = np.abs(np.diff(pitch))
    yield from _spread("melody_semitones", pitch)
    yield "melody_still", float(np.mean(move < 0.15))
    yield "melody_sways", float(np.mean((move >= 0.15) & (move < 0.7)))
    yield "melody_steps", float(np.mean((move >= 0.7) & (move < 4)))
    yield "melody_leaps", float(np.mean(move >= 4))
    held = np.flatnonzero(np.concatenate([[True], move > 0.7, [True]]))
    lengths = np.diff(held) * 1024 / RATE_HZ
    yield "note_seconds", float(lengths.mean())
    yield "note_seconds_long", float(np.percentile(lengths, 90))
    yield from _spread("melody_lead_db", 8.7 * (middle - np.log(np.exp(part).mean(axis=0) + 1e-6)))
    yield "melody_range", float(np.percentile(pitch, 90) - np.percentile(pitch, 10))


def _attacks(stretch: Stretch) -> Named:
    """Steepness of rises and falls of the level, at steps of 5 ms, dB."""
    hop = RATE_HZ // 200
    whole = len(stretch.samples) // hop * hop
    level = 10 * np.log10((stretch.samples[:whole].reshape(-1, hop) ** 2).mean(axis=1) + 1e-7)
    smooth = np.convolve(level, np.ones(3) / 3, "valid")
    step = smooth[6:] - smooth[:-6]
    for share in (1, 10, 90, 99):
        yield f"attack_p{share}_db", float(np.percentile(step, share))
    yield "attack_skew", float(np.mean(step**3) / (np.mean(step**2) ** 1.5 + 1e-9))
    rises = find_peaks(step, height=6, distance=10)[0]
    yield "attack_rate_hz", len(rises) * 200 / max(1, len(step))
    falls = [smooth[min(at + 40, len(smooth) - 1)] - smooth[min(at + 8, len(smooth) - 1)] for at in rises]
    yield "decay_db", float(np.mean(falls)) if falls else 0.0


# --- the names ----------------------------------------------------------------------------------------------------

GROUPS: dict[str, tuple[Callable[[Stretch], Named], ...]] = {
    "loudness": (_loudness,),
    "sum": (_dynamics, _rhythm, _colour, _harmony),
    "cepstrum": (_cepstrum,),
    "band": (_bands,),
    "swell": (_fluctuation,),
    "together": (_togetherness,),
    "pattern": (_pattern,),
    "grain": (_grain,),
    "chords": (_chords,),
    "melody": (_melody,),
    "attacks": (_attacks,),
}
"""What is measured, by side of the music. All but the loudness is the same however loud the recording is.

Units are in the names: `_db`, `_hz` (a second), `_s`, `_octave` (about 1 kHz, or 440 Hz for pitches), `_khz`,
`_semitones`, `_beats`. `_p10` is a percentile, `_mean` and `_std` are over time; all else is a share or a correlation.
"""


def _measured(stretch: Stretch) -> Iterator[tuple[str, str, float]]:
    for group, readers in GROUPS.items():
        for reader in readers:
            for name, value in reader(stretch):
                yield group, name, value


@lru_cache(maxsize=1)
def _layout() -> tuple[tuple[str, str], ...]:
    noise = np.random.default_rng(0).normal(0, 0.1, 4 * RATE_HZ).astype(np.float32)
    return tuple((group, name) for group, name, _ in _measured(transform(noise)))


def feature_names() -> tuple[str, ...]:
    """The names of what `describe` gives, in its order."""
    return tuple(name for _, name in _layout())


def feature_groups() -> tuple[str, ...]:
    """The group of each feature, in the same order."""
    return tuple(group for group, _ in _layout())
