//! Function calls of a candidate, gathered across parts and frames.

use serde_json::value::RawValue;

use crate::gemini::AnsweredCall;
use crate::json::Text;
use crate::request::arguments;
use crate::request::call::ResponseContext;
use crate::request::names::Kind;
use crate::request::signatures::{CallSignature, ID_SEPARATOR};

use super::ids::Ids;

/// A complete function call.
#[derive(Debug)]
pub(crate) struct Call {
    /// Place among the candidate's calls.
    pub(crate) index: u32,
    pub(crate) id: String,
    /// The client's name of the function.
    pub(crate) name: String,
    pub(crate) input: CallInput,
    /// Thought signature.
    pub(crate) signature: Option<String>,
}

/// What a function is called with.
#[derive(Debug)]
pub(crate) enum CallInput {
    /// A JSON document as text.
    Arguments(String),
    /// Free text, for a custom tool.
    Text(String),
}

/// The calls of one candidate. A call is complete when the next one begins or the candidate ends.
#[derive(Debug, Default)]
pub(crate) struct CallReader {
    count: u32,
    /// The last call, which later parts may continue.
    open: Option<OpenCall>,
    /// The last call exceeds the client's limit of one.
    is_skipped: bool,
    /// A part continued no call.
    is_malformed: bool,
    ids: Vec<String>,
    signatures: Vec<CallSignature>,
}

#[derive(Debug)]
struct OpenCall {
    index: u32,
    id: String,
    /// The client's name of the function.
    name: String,
    kind: Kind,
    args: Option<Box<RawValue>>,
    signature: Option<String>,
}

impl CallReader {
    /// Reads a call and returns the one before it, which is complete now. A part without a name
    /// continues the last call.
    pub(crate) fn read(
        &mut self,
        call: AnsweredCall<'_>,
        signature: Option<Text<'_>>,
        context: &ResponseContext,
        ids: &mut Ids,
    ) -> Option<Call> {
        if call.name.trim().is_empty() {
            self.extend(call.args, signature);
            return None;
        }
        self.is_skipped = self.count > 0 && context.calls.is_limited_to_one();
        if self.is_skipped {
            return None;
        }
        let before = self.take(context);
        let index = self.count;
        self.count += 1;
        let id = self.unique_id(call.id, ids);
        let (name, kind) = context.names.to_client(&call.name);
        let args = call.args.map(ToOwned::to_owned);
        self.open = Some(OpenCall { index, id, name: name.to_owned(), kind, args, signature: None });
        self.sign(signature);
        before
    }

    /// Merges further arguments into the last call: Gemini may send them in several parts, of which
    /// only the first names the function. A part without arguments or without a call before it is
    /// malformed.
    fn extend(&mut self, args: Option<&RawValue>, signature: Option<Text<'_>>) {
        if self.is_skipped {
            return;
        }
        let more = args.filter(|args| args.get() != "null");
        let (Some(open), Some(more)) = (self.open.as_mut(), more) else {
            self.is_malformed = true;
            return;
        };
        match arguments::merged(open.args.as_deref(), more) {
            Some(args) => open.args = Some(args),
            None => self.is_malformed = true,
        }
        if open.signature.is_none() {
            self.sign(signature);
        }
    }

    fn sign(&mut self, signature: Option<Text<'_>>) {
        let (Some(open), Some(signature)) = (self.open.as_mut(), signature) else { return };
        let signature = signature.0.into_owned();
        let (call_id, function) = (open.id.clone(), open.name.clone());
        self.signatures.push(CallSignature { call_id, function, signature: signature.clone() });
        open.signature = Some(signature);
    }

    /// Returns the last call, when no further part can continue it.
    pub(crate) fn take(&mut self, context: &ResponseContext) -> Option<Call> {
        let OpenCall { index, id, name, kind, args, signature } = self.open.take()?;
        let arguments = arguments::to_client(&context.names, &name, args.as_deref());
        let id = match &signature {
            Some(signature) if context.signature_in_id => format!("{id}{ID_SEPARATOR}{signature}"),
            _ => id,
        };
        let input = if kind == Kind::Custom {
            CallInput::Text(arguments::custom_input(args.as_deref(), arguments).into_owned())
        } else {
            CallInput::Arguments(arguments.into_owned())
        };
        Some(Call { index, id, name, input, signature })
    }

    /// Takes the signatures of the calls so far.
    pub(crate) fn take_signatures(&mut self) -> Vec<CallSignature> {
        std::mem::take(&mut self.signatures)
    }

    /// Returns `true` if there is a call.
    pub(crate) fn any(&self) -> bool {
        self.count > 0
    }

    /// Returns `true` if a part belonged to no call.
    pub(crate) fn is_malformed(&self) -> bool {
        self.is_malformed
    }

    /// Returns Gemini's id or a generated one, unique in the candidate.
    fn unique_id(&mut self, given: Option<Text<'_>>, ids: &mut Ids) -> String {
        let mut id = match given.filter(|id| !id.is_empty()) {
            Some(id) => id.0.into_owned(),
            None => ids.next("call_"),
        };
        let most = self.ids.len() + 2;
        if self.ids.contains(&id) {
            let free =
                (2..=most).map(|count| format!("{id}_{count}")).find(|longer| !self.ids.contains(longer));
            id = free.unwrap_or_else(|| ids.next("call_"));
        }
        self.ids.push(id.clone());
        id
    }
}
