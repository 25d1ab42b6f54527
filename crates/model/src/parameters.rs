use crate::{
    escape,
    json::{self, FieldError, Node},
};
use serde_json::{Map, Value};

/// Bytes of all values of one job together, as JSON: what `algoCustomData.json` may hold.
pub const MOST_PARAMETER_BYTES: usize = 256 * 1024;

/// Parameters of one asset.
const MOST_PARAMETERS: usize = 200;

/// Options of one parameter.
const MOST_OPTIONS: usize = 1000;

/// Bytes of a name, a label, a text or an option.
const MOST_TEXT_BYTES: usize = 8192;

/// One parameter that an asset lets its consumers set (an entry of Ocean's `consumerParameters`). The texts are the
/// publisher's: escape them before showing.
///
/// Ocean declares these and checks them nowhere; here the declaration is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The key in `algoCustomData.json`.
    pub name: String,
    /// How it is called in a form.
    pub label: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// What it may hold.
    pub kind: ParameterKind,
    /// Whether the consumer must give it. A default is then a proposal for forms and stands for nothing.
    pub required: bool,
    /// What it is if the consumer does not give it.
    pub default: Option<Value>,
}

/// What a parameter may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// A JSON text.
    Text,
    /// A JSON number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// One of these texts; Ocean writes each as an object with one key, the value, and its label.
    Select(Vec<String>),
}

/// A value that does not fit its declaration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parameter `{}` {rule}", escape(name.as_bytes(), 64))]
pub struct ParameterError {
    /// Which parameter; a stranger's text where it is one that the asset does not know.
    pub name: String,
    /// Which rule it breaks.
    pub rule: ParameterRule,
}

/// What is asked of the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParameterRule {
    /// Required and not given.
    #[error("is required; give it a value")]
    Required,
    /// Another type than declared.
    #[error("must be {0}")]
    Type(&'static str),
    /// None of the options.
    #[error("must be one of the asset's options")]
    Option,
    /// Too long a text.
    #[error("is longer than {MOST_TEXT_BYTES} bytes")]
    Length,
    /// Not declared by an asset that declares others.
    #[error("is not one of the asset's parameters; leave it out")]
    Unknown,
    /// The values are not one JSON object, or too large; the name is then `*`.
    #[error("stands for all values: they must be one JSON object of at most {MOST_PARAMETER_BYTES} bytes")]
    Object,
}

impl Parameter {
    /// Its fields, as they are written. A DDO of another catalogue may have more.
    pub(crate) const FIELDS: [&str; 7] = ["name", "type", "label", "description", "required", "default", "options"];

    pub(crate) fn read_all(node: &Node<'_>) -> Result<Vec<Self>, FieldError> {
        let mut all: Vec<Self> = Vec::new();
        for entry in node.entries(MOST_PARAMETERS)? {
            let parameter = Self::read(&entry)?;
            if all.iter().any(|earlier| earlier.name == parameter.name) {
                return Err(entry.get("name").expected("a name that no other parameter has"));
            }
            all.push(parameter);
        }
        Ok(all)
    }

    fn read(node: &Node<'_>) -> Result<Self, FieldError> {
        let name = node.get("name").text(MOST_TEXT_BYTES)?;
        if name.is_empty() {
            return Err(node.get("name").expected("a text that is not empty"));
        }
        let kind = match node.get("type").text(64)? {
            "text" => ParameterKind::Text,
            "number" => ParameterKind::Number,
            "boolean" => ParameterKind::Boolean,
            "select" => ParameterKind::Select(read_options(&node.get("options"))?),
            _ => return Err(node.get("type").expected("`text`, `number`, `boolean` or `select`")),
        };
        let default = node.get("default");
        // Ocean's publishing form writes an empty text where no default was given, whatever the type.
        let none = default.is_absent() || (default.value() == "" && kind != ParameterKind::Text);
        if !none && kind.check(default.value()).is_err() {
            return Err(default.expected("a value that the parameter itself may have"));
        }
        Ok(Self {
            name: name.to_owned(),
            label: node.get("label").text_or_absent(MOST_TEXT_BYTES)?.map(str::to_owned),
            description: node.get("description").text_or_absent(MOST_TEXT_BYTES)?.map(str::to_owned),
            kind,
            required: node.get("required").flag()?,
            default: (!none).then(|| default.value().clone()),
        })
    }
}

fn read_options(node: &Node<'_>) -> Result<Vec<String>, FieldError> {
    let mut options = Vec::new();
    for option in node.entries(MOST_OPTIONS)? {
        let value = match option.value() {
            Value::Object(pair) if pair.len() == 1 => pair.keys().next(),
            _ => None,
        };
        options
            .push(value.ok_or_else(|| option.expected("an object with one key, the option, and its label"))?.clone());
    }
    if options.is_empty() { Err(node.expected("a list with at least one option")) } else { Ok(options) }
}

impl ParameterKind {
    fn check(&self, value: &Value) -> Result<(), ParameterRule> {
        match (self, value) {
            (Self::Text, Value::String(text)) if text.len() > MOST_TEXT_BYTES => Err(ParameterRule::Length),
            (Self::Text, Value::String(_)) | (Self::Number, Value::Number(_)) | (Self::Boolean, Value::Bool(_)) => {
                Ok(())
            }
            (Self::Select(options), Value::String(text)) if options.contains(text) => Ok(()),
            (Self::Select(_), Value::String(_)) => Err(ParameterRule::Option),
            (Self::Text | Self::Select(_), _) => Err(ParameterRule::Type("a text")),
            (Self::Number, _) => Err(ParameterRule::Type("a number")),
            (Self::Boolean, _) => Err(ParameterRule::Type("true or false")),
        }
    }
}

/// The values that a job is given: the consumer's, checked against what the asset declares, and defaults for the rest.
///
/// Null counts as not given. An asset that declares nothing takes any object, as Ocean's algorithms do.
///
/// # Errors
/// Every value that breaks a rule, in the order of the declaration, then the unknown ones.
pub fn resolve_parameters(declared: &[Parameter], given: &Value) -> Result<Map<String, Value>, Vec<ParameterError>> {
    let all = || vec![ParameterError { name: "*".to_owned(), rule: ParameterRule::Object }];
    let given = match given {
        Value::Null => &Map::new(),
        Value::Object(values) if json::fits(given, MOST_PARAMETER_BYTES) => values,
        _ => return Err(all()),
    };
    if declared.is_empty() {
        return Ok(given.clone());
    }
    let mut values = Map::new();
    let mut errors = Vec::new();
    for Parameter { name, kind, required, default, label: _, description: _ } in declared {
        let mut refuse = |rule| errors.push(ParameterError { name: name.clone(), rule });
        match given.get(name).filter(|value| !value.is_null()) {
            Some(value) => match kind.check(value) {
                Ok(()) => drop(values.insert(name.clone(), value.clone())),
                Err(rule) => refuse(rule),
            },
            None if *required => refuse(ParameterRule::Required),
            None => drop(default.clone().map(|default| values.insert(name.clone(), default))),
        }
    }
    let unknown = given.keys().filter(|name| !declared.iter().any(|parameter| parameter.name == **name));
    errors.extend(unknown.map(|name| ParameterError { name: name.clone(), rule: ParameterRule::Unknown }));
    if errors.is_empty() { Ok(values) } else { Err(errors) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn declared() -> Vec<Parameter> {
        let document = json!([
            {"name": "town", "type": "text", "required": true, "default": "Nowhere"},
            {"name": "age", "type": "number", "required": false, "default": 0, "label": "Age"},
            {"name": "member", "type": "boolean", "default": ""},
            {"name": "language", "type": "select", "default": "py", "options": [{"py": "Python"}, {"js": "Node"}]}
        ]);
        Parameter::read_all(&Node::root("consumerParameters", &document)).expect("parameters")
    }

    #[test]
    fn values_are_checked_and_defaults_filled_in() {
        let values = resolve_parameters(&declared(), &json!({"town": "Kyoto", "member": true, "age": null}));
        assert_eq!(
            Value::Object(values.expect("values")),
            json!({"town": "Kyoto", "age": 0, "member": true, "language": "py"})
        );
        let anything = json!({"a": [1, {"b": null}]});
        assert_eq!(resolve_parameters(&[], &anything).map(Value::Object), Ok(anything));
    }

    #[test]
    fn every_error_names_its_parameter() {
        let given = json!({"age": "12", "member": 1, "language": "go", "\u{1b}x": 0});
        let errors = resolve_parameters(&declared(), &given).expect_err("four errors");
        let found: Vec<_> = errors.iter().map(|error| (error.name.as_str(), error.rule)).collect();
        assert_eq!(
            found,
            [
                ("town", ParameterRule::Required),
                ("age", ParameterRule::Type("a number")),
                ("member", ParameterRule::Type("true or false")),
                ("language", ParameterRule::Option),
                ("\u{1b}x", ParameterRule::Unknown),
            ]
        );
        assert!(errors[4].to_string().starts_with(r"parameter `\u{1b}x`"));
        for wrong in [json!([]), json!("text"), json!({"town": "x".repeat(MOST_PARAMETER_BYTES)})] {
            assert_eq!(resolve_parameters(&declared(), &wrong).expect_err("no object")[0].rule, ParameterRule::Object);
        }
        let long = json!({"town": "x".repeat(MOST_TEXT_BYTES + 1)});
        assert_eq!(resolve_parameters(&declared(), &long).expect_err("long")[0].rule, ParameterRule::Length);
    }

    #[test]
    fn a_declaration_that_contradicts_itself_is_refused() {
        for (entry, field) in [
            (json!({"name": "", "type": "text"}), "p[0].name"),
            (json!({"name": "a", "type": "date"}), "p[0].type"),
            (json!({"name": "a", "type": "number", "default": "x"}), "p[0].default"),
            (json!({"name": "a", "type": "select"}), "p[0].options"),
            (json!({"name": "a", "type": "select", "options": [{"a": "A", "b": "B"}]}), "p[0].options[0]"),
            (json!({"name": "a", "type": "select", "options": [{"a": "A"}], "default": "z"}), "p[0].default"),
        ] {
            let document = json!([entry]);
            assert_eq!(Parameter::read_all(&Node::root("p", &document)).expect_err(field).field, field);
        }
        let twice = json!([{"name": "a", "type": "text"}, {"name": "a", "type": "text"}]);
        assert_eq!(Parameter::read_all(&Node::root("p", &twice)).expect_err("twice").field, "p[1].name");
    }

    proptest! {
        #[test]
        fn what_is_resolved_resolves_to_itself(town in "\\PC{0,30}", age: Option<i32>, member: Option<bool>) {
            let given = json!({"town": town, "age": age, "member": member});
            let once = Value::Object(resolve_parameters(&declared(), &given).expect("values"));
            prop_assert_eq!(resolve_parameters(&declared(), &once).map(Value::Object), Ok(once));
        }
    }
}
