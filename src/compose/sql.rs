//! How statements reach Timbr: its REST API, the key for it, and the roles that may be mapped.

use std::collections::BTreeSet;

use crate::api::{Code, Component, Problem, Resource, Sensitive, TimbrInstallationSpec, rules};

use super::{InstallationJudgement, Snapshot, Value, installation::Target, plan::Asked, references::resolve};

/// Port of Timbr's REST API. Source: Timbr's published manifests.
const PORT: u16 = 9000;
/// Nobody becomes administrator unless it is said that somebody may.
const ADMIN: &str = "admin";

/// How statements reach Timbr, and which may.
#[derive(Clone, Debug, Default)]
pub struct Sql {
    /// Where and with what key.
    pub access: SqlAccess,
    /// Roles that may be mapped; `None`: all but admin.
    allowed_roles: Option<Vec<String>>,
}

/// Whether statements can be sent.
#[derive(Clone, Debug, Default)]
pub enum SqlAccess {
    /// No: a person runs them.
    #[default]
    Manual,
    /// Not now; says why.
    Blocked(String),
    /// Yes.
    Open(SqlTarget),
}

/// Timbr's REST API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlTarget {
    /// Scheme, host and port.
    pub url: String,
    /// The ontology.
    pub ontology: String,
    /// Sent as x-api-key.
    pub token: Sensitive,
}

impl Sql {
    /// Whether a role may be mapped.
    pub fn allows(&self, role: &str) -> bool {
        match &self.allowed_roles {
            Some(roles) => roles.iter().any(|allowed| allowed == role),
            None => !role.eq_ignore_ascii_case(ADMIN),
        }
    }

    /// The same, while the TimbrInstallation is not right.
    pub(super) fn blocked(self, judgement: &InstallationJudgement) -> Self {
        let access = match self.access {
            SqlAccess::Manual => SqlAccess::Manual,
            SqlAccess::Blocked(_) | SqlAccess::Open(_) => SqlAccess::Blocked(format!(
                "TimbrInstallation {} is not accepted, or its API key is missing; its status says what to correct",
                judgement.meta.name
            )),
        };
        Self { access, ..self }
    }
}

/// How the installation's statements reach Timbr; what is wrong with that goes into `asked`.
pub(super) fn plan(
    snapshot: &Snapshot,
    installation: Option<&Resource<TimbrInstallationSpec>>,
    targets: &[Target],
    asked: &mut Asked,
) -> Sql {
    let Some(sql) = installation.and_then(|found| found.spec.as_ref().ok()).and_then(|spec| spec.sql.as_ref()) else {
        return Sql::default();
    };
    let namespace = &snapshot.key.namespace;
    let url = sql.url.clone().unwrap_or_else(|| {
        let api = targets.iter().find(|target| target.component == Component::Api);
        let service = api.map_or(Component::Api.usual_deployment(), |target| &target.deployment);
        format!("http://{service}.{namespace}.svc:{PORT}")
    });
    // What is no URL is told by the rule.
    if rules::SQL_URL.holds(&url) && !is_allowed(&url, namespace, &snapshot.settings.allowed_sql_hosts) {
        asked.problems.push(Problem::error(
            "spec.sql.url",
            Code::SqlHostNotAllowed,
            format!(
                "the host receives Timbr's API key, so it must be a Service of this namespace, written SERVICE.{namespace}.svc, or a host that the operator is told to allow (--allowed-sql-hosts)"
            ),
        ));
    }
    let token =
        asked.resolved("spec.sql.tokenSecretRef", resolve(snapshot, "spec.sql.tokenSecretRef", &sql.token_secret_ref));
    let access = match token {
        Some(Value::Sensitive(token)) => SqlAccess::Open(SqlTarget { url, ontology: sql.ontology.clone(), token }),
        _ => SqlAccess::Blocked("the API key is not known".to_owned()),
    };
    Sql { access, allowed_roles: sql.allowed_roles.clone() }
}

/// Whether a URL's host may receive the API key.
fn is_allowed(url: &str, namespace: &str, hosts: &BTreeSet<String>) -> bool {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = host.split_once(':').map_or(host, |(host, _)| host).to_ascii_lowercase();
    let service = host.strip_suffix(".cluster.local").unwrap_or(&host);
    let is_service = service.strip_suffix(&format!(".{namespace}.svc")).is_some_and(|name| !name.contains('.'));
    is_service || hosts.contains(&host)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key goes to Services of the namespace, and to who is named by whoever runs the operator.
    #[test]
    fn where_the_key_may_go() {
        let hosts = ["timbr.example.com".to_owned()].into();
        let rows = [
            ("http://timbr-api.ns.svc:9000", true),
            ("https://timbr-api.ns.svc", true),
            ("http://timbr-api.ns.svc.cluster.local:9000", true),
            ("http://TIMBR-API.NS.SVC:9000", true),
            ("https://timbr.example.com", true),
            ("https://timbr.example.com:8443", true),
            ("https://TIMBR.example.com", true),
            ("http://timbr-api.other.svc:9000", false),
            ("http://evil.timbr-api.ns.svc:9000", false),
            ("http://timbr-api.ns", false),
            ("http://timbr-api:9000", false),
            ("https://evil.example.com", false),
            ("https://a.timbr.example.com", false),
            ("https://timbr.example.com.cluster.local", false),
        ];
        for (url, allowed) in rows {
            assert_eq!(is_allowed(url, "ns", &hosts), allowed, "{url}");
        }
    }

    #[test]
    fn nobody_becomes_administrator_unawares() {
        let with = |roles: Option<&[&str]>| Sql {
            access: SqlAccess::Manual,
            allowed_roles: roles.map(|roles| roles.iter().map(|role| (*role).to_owned()).collect()),
        };
        let rows = [
            (None, "viewer", true),
            (None, "admin", false),
            (None, "Admin", false),
            (Some(&["admin"][..]), "admin", true),
            (Some(&["admin"]), "Admin", false),
            (Some(&["admin"]), "viewer", false),
            (Some(&[]), "viewer", false),
        ];
        for (roles, role, allowed) in rows {
            assert_eq!(with(roles).allows(role), allowed, "{roles:?} {role}");
        }
    }
}
