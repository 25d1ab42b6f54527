use super::Source;
use crate::{
    MOST_FILES, Secret,
    json::{FieldError, FieldProblem, Node},
};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

const NOT_EMPTY: &str = "a list with at least one file";

/// The files of a service, in their order: 1 to [`MOST_FILES`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Sources(Vec<Source>);

/// A description of files that no [`Sources`] can be read from, and the first thing that is wrong with it. Jobs of
/// versions that checked less may have one: they stay readable, and their files cannot be fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct UnsupportedSources {
    document: Secret<Value>,
    #[serde(skip)]
    problem: FieldError,
}

impl Sources {
    /// These files.
    ///
    /// # Errors
    /// If there is none, or more than [`MOST_FILES`].
    pub fn new(files: Vec<Source>) -> Result<Self, FieldError> {
        let problem = match files.len() {
            0 => FieldProblem::Expected(NOT_EMPTY),
            1..=MOST_FILES => return Ok(Self(files)),
            _ => FieldProblem::TooMany(MOST_FILES),
        };
        Err(FieldError { field: "files".to_owned(), problem })
    }

    /// Reads the files of a service (`files`): a list of file objects, or an object with such a list in its field
    /// `files`, as Ocean writes it before it encrypts it. `path` is what the field is called in errors.
    ///
    /// # Errors
    /// The first field that is not what it must be.
    pub fn from_value(path: &str, files: &Value) -> Result<Self, FieldError> {
        Self::read(&Node::root(path, files))
    }

    /// The files.
    #[must_use]
    pub fn files(&self) -> &[Source] {
        &self.0
    }

    pub(crate) fn read(node: &Node<'_>) -> Result<Self, FieldError> {
        let list = if node.value().is_object() { node.get("files") } else { node.clone() };
        let entries = list.entries(MOST_FILES)?;
        if entries.is_empty() {
            return Err(list.expected(NOT_EMPTY));
        }
        Ok(Self(entries.iter().map(Source::read).collect::<Result<_, _>>()?))
    }
}

impl From<Source> for Sources {
    fn from(file: Source) -> Self {
        Self(vec![file])
    }
}

impl<'de> Deserialize<'de> for Sources {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::from_value("files", &value).map_err(serde::de::Error::custom)
    }
}

impl UnsupportedSources {
    /// What is wrong with it. Names fields and holds no text of the document.
    #[must_use]
    pub fn problem(&self) -> &FieldError {
        &self.problem
    }

    pub(crate) fn new(document: Secret<Value>, problem: FieldError) -> Self {
        Self { document, problem }
    }
}
