//! What stood in the place of a variable before we adopted it, so that it can be put back.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{Owner, live::LiveEnv};

/// The API server's own name for the owner of what nobody owned.
const NOBODY: &str = "before-first-apply";

/// An entry that we displaced, and whose it was. Plain values of sensitive variables are never recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Displaced {
    manager: String,
    operation: String,
    entry: Json,
    /// What of the entry its owner owned, as managed fields say it.
    #[serde(default)]
    fields: Json,
}

impl Displaced {
    /// An entry of an owner's, who owned these fields of it.
    pub fn new(owner: Option<&Owner>, entry: &LiveEnv, fields: Option<&Json>) -> Self {
        let nobody = Owner { manager: NOBODY.to_owned(), operation: "Update".to_owned() };
        let Owner { manager, operation } = owner.cloned().unwrap_or(nobody);
        Self { manager, operation, entry: entry.entry(), fields: fields.cloned().unwrap_or_default() }
    }

    /// Whose it was.
    pub fn owner(&self) -> Owner {
        Owner { manager: self.manager.clone(), operation: self.operation.clone() }
    }

    /// What its owner owned of it.
    pub fn fields(&self) -> &Json {
        &self.fields
    }

    /// The entry, as the template had it.
    pub fn entry(&self) -> &Json {
        &self.entry
    }
}
