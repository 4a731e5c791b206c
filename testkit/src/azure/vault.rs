//! A Key Vault: its secrets, and who may do what with them.

mod answer;

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

pub(super) use answer::answer;

use super::directory::guid;
use super::token::seconds;

/// For how long a deleted secret can be recovered.
const RECOVERABLE: Duration = Duration::from_secs(90 * 24 * 3600);

/// A vault.
#[derive(Debug, Clone)]
pub struct Vault {
    /// The id of its tenant: tokens of others are refused.
    pub tenant: String,
    /// The secrets by their names.
    pub secrets: BTreeMap<String, VaultSecret>,
    /// The deleted ones, which occupy their names until they are purged.
    pub deleted: BTreeMap<String, VaultSecret>,
    /// What is denied, and how; the rest is allowed.
    pub denials: BTreeMap<Operation, Denial>,
}

impl Vault {
    pub(super) fn new(tenant: &str) -> Self {
        let (secrets, deleted) = (BTreeMap::new(), BTreeMap::new());
        Self { tenant: tenant.to_owned(), secrets, deleted, denials: BTreeMap::new() }
    }

    /// Sets a secret.
    pub fn set(&mut self, name: &str, secret: VaultSecret) {
        self.secrets.insert(name.to_owned(), secret);
    }

    /// Denies an operation to everybody.
    pub fn deny(&mut self, operation: Operation, denial: Denial) {
        self.denials.insert(operation, denial);
    }

    /// Denies every operation to everybody.
    pub fn deny_all(&mut self, denial: Denial) {
        self.denials.extend(Operation::ALL.map(|operation| (operation, denial)));
    }

    /// Allows an operation.
    pub fn allow(&mut self, operation: Operation) {
        self.denials.remove(&operation);
    }

    /// Allows everything.
    pub fn allow_all(&mut self) {
        self.denials.clear();
    }
}

/// A secret of a vault.
#[derive(Clone)]
pub struct VaultSecret {
    /// Its value.
    pub value: String,
    /// The id of its one version.
    pub version: String,
    /// Whether it may be read.
    pub enabled: bool,
    /// From when it is valid; it is given out all the same.
    pub not_before: Option<SystemTime>,
    /// Until when it is valid; it is given out all the same.
    pub expires: Option<SystemTime>,
    /// What it is, in its owner's words.
    pub content_type: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl std::fmt::Debug for VaultSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VaultSecret").field("version", &self.version).finish_non_exhaustive()
    }
}

impl VaultSecret {
    /// With this value, enabled, and without an end.
    pub fn new(value: &str) -> Self {
        Self {
            value: value.to_owned(),
            version: guid().replace('-', ""),
            enabled: true,
            not_before: None,
            expires: None,
            content_type: None,
            tags: BTreeMap::new(),
        }
    }

    /// Disabled.
    pub fn disabled(mut self) -> Self {
        self.enabled = false;
        self
    }

    /// Ended a minute ago.
    pub fn expired(mut self) -> Self {
        self.expires = Some(SystemTime::now() - Duration::from_secs(60));
        self
    }

    fn attributes(&self) -> Value {
        let mut attributes = json!({
            "enabled": self.enabled, "created": 1_700_000_000, "updated": 1_700_000_000,
            "recoveryLevel": "Recoverable+Purgeable", "recoverableDays": RECOVERABLE.as_secs() / (24 * 3600),
        });
        for (name, time) in [("nbf", self.not_before), ("exp", self.expires)] {
            if let Some(time) = time {
                attributes[name] = seconds(time).into();
            }
        }
        attributes
    }

    /// With all but the value.
    fn shown(&self, id: String) -> Value {
        let mut shown = json!({"id": id, "attributes": self.attributes(), "tags": self.tags});
        if let Some(content_type) = &self.content_type {
            shown["contentType"] = content_type.clone().into();
        }
        shown
    }
}

/// What can be done with secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// The names of all.
    List,
    /// The value of one.
    Get,
    /// A new value.
    Set,
    /// Deletion, after which a secret can be recovered.
    Delete,
    /// The end of a deleted one.
    Purge,
}

impl Operation {
    /// All operations.
    pub const ALL: [Self; 5] = [Self::List, Self::Get, Self::Set, Self::Delete, Self::Purge];

    /// As access policies name it, and as roles do.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::List => ("list", "secrets/readMetadata/action"),
            Self::Get => ("get", "secrets/getSecret/action"),
            Self::Set => ("set", "secrets/setSecret/action"),
            Self::Delete => ("delete", "secrets/delete"),
            Self::Purge => ("purge", "secrets/purge/action"),
        }
    }
}

/// By its name in lower case.
impl FromStr for Operation {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|operation| operation.names().0 == name);
        found.ok_or_else(|| format!("{name:?} is no operation; there are list get set delete purge"))
    }
}

/// Why an operation is denied: the inner code of the refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// No access policy allows it, as older vaults say it.
    AccessDenied,
    /// No role allows it.
    ForbiddenByRbac,
    /// No access policy allows it.
    ForbiddenByPolicy,
    /// The firewall does not know the caller's address.
    ForbiddenByFirewall,
    /// The vault is reached by a private link only.
    ForbiddenByConnection,
}

impl Denial {
    /// All denials.
    pub const ALL: [Self; 5] = [
        Self::AccessDenied,
        Self::ForbiddenByRbac,
        Self::ForbiddenByPolicy,
        Self::ForbiddenByFirewall,
        Self::ForbiddenByConnection,
    ];

    /// The message to this caller about this operation.
    fn message(self, caller: &str, operation: Operation) -> String {
        let (policy, role) = operation.names();
        match self {
            Self::AccessDenied | Self::ForbiddenByPolicy => format!(
                "The user, group or application '{caller}' does not have secrets {policy} permission on key vault \
                 'kv;location=westeurope'. For help resolving this issue, please see \
                 https://go.microsoft.com/fwlink/?linkid=2125287"
            ),
            Self::ForbiddenByRbac => format!(
                "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or \
                 role definitions were changed recently, please observe propagation time.\r\nCaller: {caller}\r\n\
                 Action: 'Microsoft.KeyVault/vaults/{role}'\r\nResource: '/subscriptions/s/resourcegroups/g/providers/\
                 microsoft.keyvault/vaults/kv/secrets'\r\nAssignment: (not found)\r\nDenyAssignmentId: null\r\n\
                 DecisionReason: null \r\nVault: kv;location=westeurope\r\n"
            ),
            Self::ForbiddenByFirewall => format!(
                "Client address is not authorized and caller is not a trusted service.\r\nClient address: 192.0.2.1\
                 \r\nCaller: {caller}\r\nVault: kv;location=westeurope"
            ),
            Self::ForbiddenByConnection => format!(
                "Public network access is disabled and request is not from a trusted service nor via an approved \
                 private link.\r\nCaller: {caller}\r\nVault: kv;location=westeurope"
            ),
        }
    }
}

/// By its code.
impl FromStr for Denial {
    type Err = String;

    fn from_str(code: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|denial| format!("{denial:?}") == code);
        found.ok_or_else(|| format!("{code:?} is no denial; there are {:?}", Self::ALL))
    }
}
