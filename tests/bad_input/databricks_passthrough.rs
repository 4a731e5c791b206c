//! A DatabricksPassthrough, wrong in each way that it can be.

use serde_json::{Value, json};

use super::{Row, expanded, required, set};

/// A valid one.
pub fn valid() -> Value {
    json!({
        "apiVersion": "identity.timbr.ai/v1alpha1",
        "kind": "DatabricksPassthrough",
        "metadata": {"name": "dbx"},
        "spec": {"workspaceHost": "adb-123456789.azuredatabricks.net"},
    })
}

pub fn rows() -> Vec<Row> {
    let mut rows = Vec::from(required("spec.workspaceHost"));
    for (name, host) in [
        ("URL", "https://adb-1.azuredatabricks.net"),
        ("port", "adb-1.azuredatabricks.net:443"),
        ("path", "adb-1.azuredatabricks.net/"),
        ("user", "me@adb-1.azuredatabricks.net"),
        ("no dot", "databricks"),
    ] {
        rows.push(set(name, "spec.workspaceHost", json!(host), "WorkspaceHostInvalid"));
    }
    rows.push(expanded("spec.workspaceHost", "WorkspaceHostInvalid"));
    rows.push(set("too long", "spec.workspaceHost", json!("a.".repeat(127) + "net"), "FieldLimit"));
    for name in ["-x", "a b", "a'b", ""] {
        rows.push(set(&format!("no name `{name}`"), "spec.datasourceName", json!(name), "DatasourceNameInvalid"));
    }
    rows.push(expanded("spec.datasourceName", "DatasourceNameInvalid"));
    rows.push(set("too long", "spec.datasourceName", json!("a".repeat(129)), "FieldLimit"));
    for path in ["spec.refreshTokenExpiration", "spec.refreshTokenValidation"] {
        for text in ["10", "10 m", "-1m", "1d", "10M"] {
            rows.push(set(&format!("no duration `{text}`"), path, json!(text), "DurationInvalid"));
        }
        for text in ["0m", "59s", "90s", "24h1m", "1000h"] {
            rows.push(set(&format!("out of range `{text}`"), path, json!(text), "DurationOutOfRange"));
        }
        rows.push(set("number for a string", path, json!(10), "FieldType"));
        rows.push(expanded(path, "DurationInvalid"));
        rows.push(set("too long", path, json!("1m".repeat(9)), "FieldLimit"));
    }
    rows
}
