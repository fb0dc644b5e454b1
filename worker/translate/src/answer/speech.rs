//! Speech: raw samples from Gemini in the audio format that the client asked for.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::gemini::AnsweredBlob;
use crate::request::call::AudioFormat;

/// Seconds that OpenAI keeps speech for; ours is in the message itself and lasts.
pub(crate) const LASTS_S: u64 = 3600;
/// What Gemini speaks with when it does not say.
const USUAL_RATE: u32 = 24_000;
const CHANNELS: u16 = 1;
const BYTES_PER_SAMPLE: u16 = 2;

/// Returns all pieces as one, in base64.
pub(crate) fn deliver(pieces: Vec<AnsweredBlob<'_>>, format: AudioFormat) -> Option<Cow<'_, str>> {
    let first = pieces.first()?;
    // Anything but bare samples is a format of its own, and stays what it is.
    let bare =
        ["audio/l16", "audio/pcm"].iter().any(|kind| first.mime_type.to_ascii_lowercase().starts_with(kind));
    let rate = rate(&first.mime_type);
    if pieces.len() == 1 && !(bare && format == AudioFormat::Wav) {
        return pieces.into_iter().next().map(|piece| piece.data.0);
    }
    let samples: Vec<u8> =
        pieces.iter().filter_map(|piece| STANDARD.decode(piece.data.as_bytes()).ok()).flatten().collect();
    if bare && format == AudioFormat::Wav {
        let mut file = wav_header(samples.len(), rate);
        file.extend_from_slice(&samples);
        return Some(Cow::Owned(STANDARD.encode(file)));
    }
    Some(Cow::Owned(STANDARD.encode(samples)))
}

/// `rate` of `audio/L16;codec=pcm;rate=24000`.
fn rate(mime_type: &str) -> u32 {
    let rates = mime_type.split(';').filter_map(|attribute| attribute.trim().strip_prefix("rate="));
    rates.filter_map(|rate| rate.parse().ok()).find(|rate| *rate > 0).unwrap_or(USUAL_RATE)
}

/// Returns the 44 bytes before the samples.
fn wav_header(length: usize, rate: u32) -> Vec<u8> {
    let length = u32::try_from(length).unwrap_or(u32::MAX - 36);
    let block = CHANNELS * BYTES_PER_SAMPLE;
    let mut header = Vec::with_capacity(44);
    header.extend_from_slice(b"RIFF");
    header.extend_from_slice(&length.saturating_add(36).to_le_bytes());
    header.extend_from_slice(b"WAVEfmt ");
    header.extend_from_slice(&16_u32.to_le_bytes());
    header.extend_from_slice(&1_u16.to_le_bytes());
    header.extend_from_slice(&CHANNELS.to_le_bytes());
    header.extend_from_slice(&rate.to_le_bytes());
    header.extend_from_slice(&rate.saturating_mul(block.into()).to_le_bytes());
    header.extend_from_slice(&block.to_le_bytes());
    header.extend_from_slice(&(BYTES_PER_SAMPLE * 8).to_le_bytes());
    header.extend_from_slice(b"data");
    header.extend_from_slice(&length.to_le_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Text;

    fn piece<'a>(mime_type: &'a str, data: &'a str) -> AnsweredBlob<'a> {
        AnsweredBlob { mime_type: Text(mime_type.into()), data: Text(data.into()) }
    }

    #[test]
    fn samples_become_a_file_only_on_demand() {
        let samples = || vec![piece("audio/L16;codec=pcm;rate=16000", "AAEC"), piece("audio/L16", "AwQ=")];
        assert_eq!(deliver(samples(), AudioFormat::Pcm16).unwrap(), STANDARD.encode([0, 1, 2, 3, 4]));
        let file = STANDARD.decode(&*deliver(samples(), AudioFormat::Wav).unwrap()).unwrap();
        assert_eq!(file.len(), 44 + 5);
        assert_eq!((&file[..4], &file[8..16]), (b"RIFF".as_slice(), b"WAVEfmt ".as_slice()));
        assert_eq!(file[4..8], (36_u32 + 5).to_le_bytes());
        assert_eq!(file[24..28], 16_000_u32.to_le_bytes());
        assert_eq!(file[28..32], 32_000_u32.to_le_bytes());
        assert_eq!(file[40..44], 5_u32.to_le_bytes());
        assert_eq!(deliver(vec![piece("audio/mpeg", "AAAA")], AudioFormat::Wav).unwrap(), "AAAA");
        assert_eq!(deliver(Vec::new(), AudioFormat::Wav), None);
    }
}
