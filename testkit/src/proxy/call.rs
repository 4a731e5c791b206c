//! The name of a request: what it does to which object.

use http::{Method, Uri};
use serde_json::Value;

use crate::audit::{is_dry_run, is_review};

/// A request to the API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its number among the counted writes, or among the reads; from 1.
    pub nth: usize,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: String,
    /// The API group, empty for the core's.
    pub group: String,
    /// The resource in the plural, `deployments`; empty for discovery and the like.
    pub resource: String,
    /// The subresource, `status`; empty for the object itself.
    pub subresource: String,
    /// The namespace; empty outside of one.
    pub namespace: String,
    /// The object's name; empty where a collection is meant or the server makes the name.
    pub name: String,
    /// The path and query.
    pub uri: String,
    /// What a write says.
    pub body: Body,
}

/// The JSON of a write. Printed it is left out: it is long, and may hold a secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Body(pub Value);

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

impl Call {
    pub(super) fn new(method: &Method, uri: &Uri, body: &[u8]) -> Self {
        let segments: Vec<String> = uri.path().split('/').filter(|segment| !segment.is_empty()).map(decode).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (group, rest) = match segments.as_slice() {
            ["api", _, rest @ ..] => ("", rest),
            ["apis", group, _, rest @ ..] => (*group, rest),
            _ => ("", &[][..]),
        };
        // A namespace's own subresources stand where another's resources would.
        let (namespace, rest) = match rest {
            ["namespaces", namespace] | ["namespaces", namespace, "status" | "finalize"] => (*namespace, rest),
            ["namespaces", namespace, rest @ ..] => (*namespace, rest),
            _ => ("", rest),
        };
        let at = |index: usize| rest.get(index).copied().unwrap_or_default();
        let mut name = at(1).to_owned();
        let watches = uri.query().unwrap_or_default().split('&').any(|pair| matches!(pair, "watch=true" | "watch=1"));
        let verb = match *method {
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE if name.is_empty() => "deletecollection",
            Method::DELETE => "delete",
            _ if watches => "watch",
            _ if name.is_empty() && !at(0).is_empty() => "list",
            _ => "get",
        };
        if verb == "create" && name.is_empty() {
            let body: Option<Value> = serde_json::from_slice(body).ok();
            let named = body.as_ref().and_then(|body| body.pointer("/metadata/name")).and_then(Value::as_str);
            name = named.unwrap_or_default().to_owned();
        }
        Self {
            nth: 0,
            verb: verb.to_owned(),
            group: group.to_owned(),
            resource: at(0).to_owned(),
            subresource: at(2).to_owned(),
            namespace: namespace.to_owned(),
            name,
            uri: uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            body: if *method == Method::GET {
                Body::default()
            } else {
                Body(serde_json::from_slice(body).unwrap_or_default())
            },
        }
    }

    /// Whether it only reads.
    pub fn is_read(&self) -> bool {
        matches!(self.verb.as_str(), "get" | "list" | "watch")
    }

    /// Whether it only asks what a write would do.
    pub fn is_dry_run(&self) -> bool {
        !self.is_read() && is_dry_run(&self.uri)
    }

    /// Whether it writes: neither a read, nor a dry run, nor a review of a token or an access.
    pub fn is_write(&self) -> bool {
        !self.is_read() && !is_dry_run(&self.uri) && !is_review(&self.resource)
    }
}

/// Undoes percent-encoding; what is none stays as it is.
fn decode(segment: &str) -> String {
    let bytes = segment.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = segment.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        if let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            decoded.push(byte);
            at += 3;
        } else {
            decoded.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(method: Method, uri: &str, body: &str) -> String {
        let call = Call::new(&method, &uri.parse().unwrap(), body.as_bytes());
        let Call { verb, group, resource, subresource, namespace, name, .. } = &call;
        let kind = if call.is_write() { "write" } else { "no write" };
        format!("{kind}: {verb} {group}/{resource}/{subresource} {namespace}/{name}")
    }

    #[test]
    fn requests_are_named() {
        for (method, uri, body, expected) in [
            (Method::GET, "/api/v1/pods", "", "no write: list /pods/ /"),
            (Method::GET, "/api/v1/namespaces/a/pods?watch=true&x=1", "", "no write: watch /pods/ a/"),
            (Method::GET, "/apis/apps/v1/namespaces/a/deployments/b", "", "no write: get apps/deployments/ a/b"),
            (Method::GET, "/apis/apps/v1", "", "no write: get apps// /"),
            (Method::GET, "/version", "", "no write: get // /"),
            (
                Method::POST,
                "/api/v1/namespaces/a/secrets",
                r#"{"metadata":{"name":"b"}}"#,
                "write: create /secrets/ a/b",
            ),
            (Method::POST, "/api/v1/namespaces/a/events", "k8s\0", "write: create /events/ a/"),
            (
                Method::POST,
                "/api/v1/namespaces/a/serviceaccounts/b/token",
                "{}",
                "write: create /serviceaccounts/token a/b",
            ),
            (
                Method::PATCH,
                "/apis/apps/v1/namespaces/a/deployments/b?fieldManager=x",
                "",
                "write: patch apps/deployments/ a/b",
            ),
            (
                Method::PATCH,
                "/apis/apps/v1/namespaces/a/deployments/b?dryRun=All",
                "",
                "no write: patch apps/deployments/ a/b",
            ),
            (Method::PUT, "/apis/x.y/v1/namespaces/a/things/b/status", "", "write: update x.y/things/status a/b"),
            (Method::PUT, "/api/v1/namespaces/a/finalize", "", "write: update /namespaces/finalize a/a"),
            (Method::DELETE, "/api/v1/namespaces/a", "", "write: delete /namespaces/ a/a"),
            (Method::DELETE, "/api/v1/namespaces/a/pods", "", "write: deletecollection /pods/ a/"),
            (
                Method::POST,
                "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
                "{}",
                "no write: create authorization.k8s.io/selfsubjectaccessreviews/ /",
            ),
            (
                Method::DELETE,
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/a%3Ab",
                "",
                "write: delete rbac.authorization.k8s.io/clusterroles/ /a:b",
            ),
        ] {
            assert_eq!(name(method, uri, body), expected, "{uri}");
        }
    }
}
