//! Writer of a request as JSON.
//!
//! Nearly all of a request is text and base64, so the conversation is written by hand and the rest by
//! serde. Base64 is copied without being inspected.

use super::{Content, GenerateRequest, Part, PartData, Role};
use crate::json::escape;

impl GenerateRequest<'_> {
    /// Appends the body.
    ///
    /// # Errors
    /// None that could be brought about: what is written are this crate's own types, and into memory.
    pub fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        out.extend_from_slice(b"{\"contents\":");
        write_list(&self.contents, out, Content::write)?;
        if let Some(instruction) = &self.system_instruction {
            out.extend_from_slice(b",\"systemInstruction\":{\"parts\":");
            write_list(&instruction.parts, out, Part::write)?;
            out.push(b'}');
        }
        let start = out.len();
        serde_json::to_writer(&mut *out, &self.settings)?;
        // The settings become members of the body: `{"tools":…}` turns into `,"tools":…}`, and `{}` into `}`.
        if out.ends_with(b"{}") && out.len() == start + 2 {
            out.remove(start);
        } else if let Some(brace) = out.get_mut(start) {
            *brace = b',';
        }
        Ok(())
    }
}

fn write_list<T>(
    items: &[T],
    out: &mut Vec<u8>,
    write: impl Fn(&T, &mut Vec<u8>) -> serde_json::Result<()>,
) -> serde_json::Result<()> {
    out.push(b'[');
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write(item, out)?;
    }
    out.push(b']');
    Ok(())
}

impl Content<'_> {
    fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        out.extend_from_slice(match self.role {
            Role::User => br#"{"role":"user","parts":"#,
            Role::Model => br#"{"role":"model","parts":"#,
        });
        write_list(&self.parts, out, Part::write)?;
        out.push(b'}');
        Ok(())
    }
}

impl Part<'_> {
    /// Appends the part.
    pub(crate) fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        match &self.data {
            PartData::Text(text) => {
                out.extend_from_slice(b"{\"text\":");
                text.write(out);
            }
            PartData::InlineData(blob) => {
                out.extend_from_slice(b"{\"inlineData\":{\"mimeType\":");
                escape::write(out, &blob.mime_type);
                out.extend_from_slice(b",\"data\":");
                blob.data.write(out);
                out.push(b'}');
            }
            other => {
                serde_json::to_writer(&mut *out, other)?;
                // Its brace is closed below.
                out.pop();
            }
        }
        if let Some(signature) = &self.thought_signature {
            out.extend_from_slice(b",\"thoughtSignature\":");
            escape::write(out, signature);
        }
        if let Some(resolution) = &self.media_resolution {
            out.extend_from_slice(b",\"mediaResolution\":");
            serde_json::to_writer(&mut *out, resolution)?;
        }
        if let Some(metadata) = self.video_metadata {
            out.extend_from_slice(b",\"videoMetadata\":");
            out.extend_from_slice(metadata.get().as_bytes());
        }
        out.push(b'}');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::gemini::{Base64, Blob, FileData, MediaResolution, RequestSettings, SystemInstruction};

    fn written(request: &GenerateRequest<'_>) -> Value {
        let mut body = Vec::new();
        request.write(&mut body).unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    #[test]
    fn every_member_in_its_place() {
        assert_eq!(written(&GenerateRequest::default()), json!({"contents": []}));
        let file = FileData { mime_type: None, file_uri: "u".into() };
        let blob = Blob { mime_type: "image/\"".into(), data: Base64::new("AA\"") };
        let resolution = Some(MediaResolution { level: "L" });
        let metadata = Some(serde_json::from_str(r#"{"fps": 1}"#).unwrap());
        let parts = vec![
            Part { thought_signature: Some("s\n".into()), ..Part::text("a\"b") },
            Part { media_resolution: resolution, ..PartData::InlineData(blob).into() },
            Part { video_metadata: metadata, ..PartData::FileData(file).into() },
        ];
        let request = GenerateRequest {
            contents: vec![
                Content { role: Role::User, parts },
                Content { role: Role::Model, parts: Vec::new() },
            ],
            system_instruction: Some(SystemInstruction { parts: vec![Part::text("x"), Part::text("")] }),
            settings: RequestSettings { store: Some(true), ..RequestSettings::default() },
        };
        assert_eq!(
            written(&request).to_string(),
            json!({
                "contents": [
                    {"role": "user", "parts": [
                        {"text": "a\"b", "thoughtSignature": "s\n"},
                        {"inlineData": {"mimeType": "image/\"", "data": "AA\""}, "mediaResolution": {"level": "L"}},
                        {"fileData": {"fileUri": "u"}, "videoMetadata": {"fps": 1}},
                    ]},
                    {"role": "model", "parts": []},
                ],
                "systemInstruction": {"parts": [{"text": "x"}, {"text": ""}]},
                "store": true,
            })
            .to_string()
        );
    }
}
