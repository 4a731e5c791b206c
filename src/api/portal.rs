//! What a person sets in Azure's portal, as a list in status.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One thing to set in Azure's portal; `timbr-identity portal` prints the same as commands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PortalEntry {
    /// What: Redirect URI, or the permission's name and its API.
    pub what: Cow<'static, str>,
    /// The exact value: an address, a permission's id.
    pub value: Cow<'static, str>,
    /// Of which kind: Web, Delegated, Application, Link, Setting.
    pub kind: Cow<'static, str>,
}
