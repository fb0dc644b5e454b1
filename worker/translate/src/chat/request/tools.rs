//! Tools and tool choice, with their predecessors `functions` and `function_call`.
//!
//! A guarantee of a choice (one function, none, one at a time) is kept or rejected, never ignored.

mod choice;

use std::borrow::Cow;

use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use choice::{Choice, check_choice, choice};

use super::formats;
use crate::error::ApiError;
use crate::gemini::{CallingConfig, CallingMode, FunctionDeclaration, Tool, ToolConfig};
use crate::openai::{self, ChatRequest, CustomDefinition, FunctionDefinition};
use crate::request::call::{CallStyle, ResponseContext};
use crate::request::capabilities::Capabilities;
use crate::request::ignored_params::IgnoredParams;
use crate::request::names::Kind;
use crate::request::options::TranslateOptions;
use crate::request::repair::{Repair, Repairs};
use crate::request::schema::Richness;
use crate::request::{results, schema, words};

/// "At most 512 function declarations can be specified"
const MAX_FUNCTIONS: usize = 512;

/// Everything about tools.
#[derive(Debug, Default)]
pub(crate) struct Tools<'r> {
    pub(crate) all: Vec<Tool<'r>>,
    pub(crate) config: Option<ToolConfig<'r>>,
    /// From which on schemas are told in the older way.
    pub(crate) older: Option<Richness>,
}

/// Translates all tools. The names that are declared go into the context.
pub(crate) fn tools<'r>(
    request: &'r ChatRequest<'_>,
    capabilities: &Capabilities,
    options: &TranslateOptions<'_>,
    context: &mut ResponseContext,
    ignored: &mut IgnoredParams,
) -> Result<Tools<'r>, ApiError> {
    let mut functions =
        Functions { repairs: options.repairs, ordered: capabilities.property_order, ..Functions::default() };
    let by_name = options.wishes(|pool| pool.builtin_names);
    let mut builtins = Builtins { by_name, ..Builtins::default() };
    for (index, tool) in request.tools.iter().flatten().enumerate() {
        read_tool(index, tool, &mut functions, &mut builtins, context, ignored)?;
    }
    if request.tools.is_none() {
        if request.functions.is_some() {
            context.calls = CallStyle::Function;
        }
        for (index, function) in request.functions.iter().flatten().enumerate() {
            functions.declare(function, &format!("functions[{index}]"), context, ignored)?;
        }
    }
    if request.web_search_options.is_some() {
        builtins.add("web_search_options", Tool::GoogleSearch(results::empty_object()));
    }
    if options.suffix.search {
        builtins.add("model", Tool::GoogleSearch(results::empty_object()));
    }
    let google = request.google().filter_map(|google| google.tools.as_deref());
    for raw in google.flatten() {
        let name = "extra_body.google.tools";
        builtins.tools.push((name, Tool::Raw(words::settings(name, raw)?)));
    }
    let older = functions.tell_schemas(formats::richness(request, options.repairs), context, ignored);
    let choice = choice(request)?;
    let any_tool = !functions.declarations.is_empty() || !builtins.tools.is_empty();
    check_choice(choice.as_ref(), any_tool, request, context)?;
    if !functions.declarations.is_empty() && !capabilities.builtins_with_functions {
        for (name, _) in builtins.tools.drain(..) {
            ignored.add(name);
        }
    }
    context.grounded = !builtins.tools.is_empty();
    let raw_config = request.google().find_map(|google| google.tool_config);
    let config = match raw_config {
        Some(raw) => Some(ToolConfig::Raw(words::settings("extra_body.google.tool_config", raw)?)),
        None => config(
            choice.unwrap_or(Choice::Auto),
            &mut functions,
            !builtins.tools.is_empty(),
            capabilities,
            context,
        ),
    };
    let mut tools = Vec::new();
    if !functions.declarations.is_empty() {
        tools.push(Tool::FunctionDeclarations(functions.declarations));
    }
    tools.extend(builtins.tools.into_iter().map(|(_, tool)| tool));
    Ok(Tools { all: tools, config, older })
}

#[derive(Debug, Default)]
struct Functions<'r> {
    declarations: Vec<FunctionDeclaration<'r>>,
    /// By declaration: the normalised schema, which is told when all are known.
    schemas: Vec<Option<Value>>,
    /// By declaration: as the client calls it.
    client_names: Vec<&'r str>,
    strict: bool,
    repairs: Repairs,
    /// Whether the order of properties has to be told.
    ordered: bool,
}

/// Gemini's own tools, each once, with the name under which its loss would be told.
#[derive(Debug, Default)]
struct Builtins<'r> {
    /// Whether functions of certain names are for them.
    by_name: bool,
    tools: Vec<(&'static str, Tool<'r>)>,
}

impl<'r> Builtins<'r> {
    fn add(&mut self, name: &'static str, tool: Tool<'r>) {
        let known = self
            .tools
            .iter()
            .any(|(_, known)| std::mem::discriminant(known) == std::mem::discriminant(&tool));
        if !known {
            self.tools.push((name, tool));
        }
    }

    /// Returns `true` if a function means one of them.
    fn add_by_name(&mut self, function: &FunctionDefinition<'_>) -> bool {
        let empty = results::empty_object;
        let (name, tool) = match &*function.name {
            "googleSearch" => ("web_search", Tool::GoogleSearch(empty())),
            "codeExecution" => ("code_interpreter", Tool::CodeExecution(empty())),
            "urlContext" => ("url_context", Tool::UrlContext(empty())),
            _ => return false,
        };
        let schema = function.parameters.and_then(|raw| schema::read(raw).ok());
        let takes_nothing = schema.is_none_or(|schema| schema::parameters(schema).schema.is_none());
        if self.by_name && takes_nothing {
            self.add(name, tool);
        }
        self.by_name && takes_nothing
    }
}

fn read_tool<'r>(
    index: usize,
    tool: &'r openai::Tool<'_>,
    functions: &mut Functions<'r>,
    builtins: &mut Builtins<'r>,
    context: &mut ResponseContext,
    ignored: &mut IgnoredParams,
) -> Result<(), ApiError> {
    match (tool.r#type.as_deref(), &tool.function, &tool.custom) {
        (Some("function") | None, Some(function), _) if builtins.add_by_name(function) => Ok(()),
        (Some("function") | None, Some(function), _) => {
            functions.declare(function, &format!("tools[{index}].function"), context, ignored)
        }
        (Some("function"), None, _) => Err(ApiError::missing(&format!("tools[{index}].function"))),
        (Some("custom"), _, Some(custom)) => {
            functions.declare_custom(custom, &format!("tools[{index}].custom"), context)
        }
        (Some("custom"), _, None) => Err(ApiError::missing(&format!("tools[{index}].custom"))),
        (Some(kind), ..) => builtin_by_type(kind, index, tool, builtins),
        (None, None, _) => {
            let found = native_builtins(index, tool, builtins)?;
            if found { Ok(()) } else { Err(ApiError::missing(&format!("tools[{index}].type"))) }
        }
    }
}

fn builtin_by_type<'r>(
    kind: &str,
    index: usize,
    tool: &'r openai::Tool<'_>,
    builtins: &mut Builtins<'r>,
) -> Result<(), ApiError> {
    let empty = results::empty_object;
    let (name, tool) = match kind {
        "web_search" | "web_search_preview" | "google_search" => ("web_search", Tool::GoogleSearch(empty())),
        "code_interpreter" | "code_execution" => ("code_interpreter", Tool::CodeExecution(empty())),
        "url_context" => ("url_context", Tool::UrlContext(empty())),
        "google_maps" => ("google_maps", Tool::GoogleMaps(empty())),
        _ => {
            if native_builtins(index, tool, builtins)? {
                return Ok(());
            }
            let shown: String = kind.chars().take(40).collect();
            let message = format!(
                "Invalid value: '{shown}'. Supported values are: 'function', 'custom', 'web_search' and 'code_interpreter'."
            );
            return Err(ApiError::invalid_value(&format!("tools[{index}].type"), message));
        }
    };
    builtins.add(name, tool);
    Ok(())
}

/// One of Gemini's own tools: the name of its loss, the client's settings, and what is made of them.
type Form<'r> = (&'static str, Option<&'r RawValue>, fn(Cow<'r, RawValue>) -> Tool<'r>);

/// Adds Gemini's own tools that are in a tool under their own names. Returns `false` if there are none.
fn native_builtins<'r>(
    index: usize,
    tool: &'r openai::Tool<'_>,
    builtins: &mut Builtins<'r>,
) -> Result<bool, ApiError> {
    let mut found = false;
    let forms: [Form<'r>; 6] = [
        ("web_search", tool.google_search, Tool::GoogleSearch),
        ("url_context", tool.url_context, Tool::UrlContext),
        ("code_interpreter", tool.code_execution, Tool::CodeExecution),
        ("google_maps", tool.google_maps, Tool::GoogleMaps),
        ("file_search", tool.file_search, Tool::FileSearch),
        ("computer_use", tool.computer_use, Tool::ComputerUse),
    ];
    for (name, raw, form) in forms {
        if let Some(raw) = raw {
            found = true;
            let raw = words::settings(&format!("tools[{index}].{name}"), raw)?;
            builtins.add(name, form(Cow::Borrowed(raw)));
        }
    }
    Ok(found)
}

impl<'r> Functions<'r> {
    fn declare(
        &mut self,
        function: &'r FunctionDefinition<'_>,
        param: &str,
        context: &mut ResponseContext,
        ignored: &mut IgnoredParams,
    ) -> Result<(), ApiError> {
        let schema = match function.parameters {
            None => schema::Parameters::default(),
            Some(raw) => schema::parameters(schema::read(raw).map_err(|what| {
                let param = format!("{param}.parameters");
                ApiError::invalid_value(&param, format!("Invalid schema for '{param}': {what}."))
            })?),
        };
        ignored.add_if(schema.lossy, "tools.parameters");
        self.strict |= function.strict == Some(true);
        let parameters = schema.schema;
        let kind = if schema.wrapped { Kind::Wrapped } else { Kind::Plain };
        self.push(&function.name, function.description.as_deref(), parameters, kind, param, context)
    }

    /// Puts the schemas into the declarations, in the newer or the older way, as Gemini's errors want it. `beside` is how
    /// rich the schema of the response is. Returns from which richness on schemas are told in the older way.
    fn tell_schemas(
        &mut self,
        beside: Richness,
        context: &mut ResponseContext,
        ignored: &mut IgnoredParams,
    ) -> Option<Richness> {
        let mut lossy = schema::keep_within_budget(self.schemas.iter_mut().flatten());
        for schema in self.schemas.iter_mut().flatten() {
            if self.repairs.contains(Repair::LooseCalling) {
                schema::loosen(schema);
            }
            if self.repairs.contains(Repair::NoBounds) {
                lossy |= schema::unbind(schema);
            }
        }
        let richest = self.schemas.iter().flatten().map(Richness::of).fold(beside, Richness::max);
        let older = self.repairs.older_channel().map(|wanted| wanted.min(richest));
        let schemas = std::mem::take(&mut self.schemas);
        for (place, (schema, declaration)) in schemas.into_iter().zip(&mut self.declarations).enumerate() {
            let Some(mut schema) = schema else { continue };
            if older.is_some_and(|from| Richness::of(&schema) >= from) {
                let mut older = schema::legacy_parameters(&schema);
                lossy |= older.lossy;
                if self.ordered {
                    schema::tell_order(&mut older.schema);
                }
                declaration.parameters = to_raw_value(&older.schema).ok();
                context.names.set_shape(place, older.shape);
                continue;
            }
            if self.ordered {
                schema::tell_order(&mut schema);
            }
            declaration.parameters_json_schema = to_raw_value(&schema).ok();
        }
        ignored.add_if(lossy, "tools.parameters");
        older
    }

    fn declare_custom(
        &mut self,
        custom: &'r CustomDefinition<'_>,
        param: &str,
        context: &mut ResponseContext,
    ) -> Result<(), ApiError> {
        let mut input = serde_json::json!({"type": "string"});
        if let (Some(format), Some(input)) = (custom.format, input.as_object_mut()) {
            input.insert("description".into(), format!("Format of the input: {}", format.get()).into());
        }
        let schema =
            serde_json::json!({"type": "object", "properties": {"input": input}, "required": ["input"]});
        let parameters = Some(schema);
        let kind = Kind::Custom;
        self.push(&custom.name, custom.description.as_deref(), parameters, kind, param, context)
    }

    fn push(
        &mut self,
        name: &'r str,
        description: Option<&'r str>,
        schema: Option<Value>,
        kind: Kind,
        param: &str,
        context: &mut ResponseContext,
    ) -> Result<(), ApiError> {
        if self.declarations.len() >= MAX_FUNCTIONS {
            let param = param.split('[').next().unwrap_or("tools");
            let message = format!(
                "Invalid '{param}': array too long. Expected an array with maximum length {MAX_FUNCTIONS} instead."
            );
            return Err(ApiError::invalid(Some(param), "array_above_max_length", message));
        }
        let param = format!("{param}.name");
        if name.is_empty() {
            return Err(ApiError::invalid_value(&param, format!("Invalid '{param}': empty string.")));
        }
        let Some(declared) = context.names.declare(name, kind) else {
            return Err(ApiError::invalid_value(
                &param,
                format!("Invalid '{param}': the name is used twice."),
            ));
        };
        let description = description.filter(|text| !text.is_empty()).map(Cow::Borrowed);
        self.schemas.push(schema);
        self.declarations.push(FunctionDeclaration {
            name: declared,
            description,
            parameters_json_schema: None,
            parameters: None,
        });
        self.client_names.push(name);
        Ok(())
    }
}

fn config<'r>(
    choice: Choice<'r>,
    functions: &mut Functions<'r>,
    with_builtins: bool,
    capabilities: &Capabilities,
    context: &ResponseContext,
) -> Option<ToolConfig<'r>> {
    if functions.declarations.is_empty() {
        return None;
    }
    let loose = functions.repairs.contains(Repair::LooseCalling) && choice != Choice::None;
    let (mode, names) = match choice {
        _ if loose => (CallingMode::Auto, Vec::new()),
        Choice::None => (CallingMode::None, Vec::new()),
        Choice::Any => (CallingMode::Any, Vec::new()),
        Choice::Only { names, required: true } => (CallingMode::Any, names),
        Choice::Only { names, required: false } if capabilities.modern => (CallingMode::Validated, names),
        Choice::Only { names, required: false } => {
            // Older models take a list of names only where one must be called: what is not allowed is not declared.
            functions.keep_only(&names);
            (CallingMode::Auto, Vec::new())
        }
        Choice::Auto if capabilities.modern && (functions.strict || with_builtins) => {
            (CallingMode::Validated, Vec::new())
        }
        Choice::Auto => (CallingMode::Auto, Vec::new()),
    };
    let allowed_function_names: Vec<Cow<'r, str>> =
        names.into_iter().map(|name| context.names.to_gemini(name)).collect();
    let calling = CallingConfig { mode, allowed_function_names };
    (mode != CallingMode::Auto || with_builtins).then(|| ToolConfig::Made {
        function_calling_config: (mode != CallingMode::Auto).then_some(calling),
        include_server_side_tool_invocations: with_builtins.then_some(true),
    })
}

impl Functions<'_> {
    fn keep_only(&mut self, names: &[&str]) {
        let mut client_names = self.client_names.iter();
        self.declarations.retain(|_| client_names.next().is_some_and(|name| names.contains(name)));
    }
}

#[cfg(test)]
mod tests;
