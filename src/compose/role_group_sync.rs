//! What a RoleGroupSync asks for. Variables and statements: Timbr's documentation, "Sync Azure AD
//! Groups with Timbr Roles", steps 2 to 4. What becomes of its statements is in [`super::mapping`].

use crate::api::{
    CheckLevel::Required, Code, Component, FieldRule, GROUP_EXACTLY_ONE, Problem, RoleGroupSyncSpec,
    RoleGroupSyncStatus, SYNC_INTERVAL, Status, rules, seconds,
};

use super::{Audience, Case, Demand, LiveValue, Probe, Value, credentials, plan::Asked, portal};

/// Shorter than this, in seconds, and Entra is asked very often.
const SHORT: u64 = 300;

/// Whether Entra is asked very often at this interval, in seconds.
pub const fn is_short(interval: u64) -> bool {
    interval < SHORT
}

/// What is wrong with the spec by itself.
pub fn problems(spec: &RoleGroupSyncSpec) -> Vec<Problem> {
    let mut problems = credentials::problems(&spec.credentials);
    problems.extend(SYNC_INTERVAL.check("spec.interval", &spec.interval));
    for (i, mapping) in spec.mappings.iter().enumerate() {
        let path = format!("spec.mappings[{i}]");
        let role = format!("{path}.role");
        problems.extend(rules::ROLE.check(&role, &mapping.role));
        problems.extend(rules::ROLE_SAFE.check(&role, &mapping.role));
        if spec.mappings[..i].iter().any(|earlier| earlier.role == mapping.role) {
            problems.push(Problem::error(path.as_str(), Code::FieldDuplicate, duplicate(&mapping.role)));
        }
        let group = &mapping.group;
        let given: [(&str, &Option<String>, &[&FieldRule]); 3] = [
            ("name", &group.name, &[&rules::GROUP_NAME, &rules::NO_EXPANSION]),
            ("id", &group.id, &[&rules::GROUP_ID]),
            ("email", &group.email, &[&rules::GROUP_EMAIL]),
        ];
        if given.iter().filter(|(_, value, _)| value.is_some()).count() != 1 {
            problems.push(Problem::error(format!("{path}.group"), Code::GroupExactlyOne, GROUP_EXACTLY_ONE));
        }
        for (field, value, rules) in given {
            let path = format!("{path}.group.{field}");
            problems.extend(value.iter().flat_map(|value| rules.iter().filter_map(|rule| rule.check(&path, value))));
        }
    }
    problems
}

fn duplicate(role: &str) -> String {
    format!("role {role} is listed twice; a role has one group in Timbr, so keep one entry")
}

/// What an accepted spec asks for.
pub fn ask(spec: &RoleGroupSyncSpec, case: &Case<'_>) -> Asked {
    let mut asked = Asked::default();
    let interval = seconds(&spec.interval).unwrap_or_default();
    let application = credentials::ask(&spec.credentials, case, &mut asked);
    let application = application.as_ref();
    asked.check_as(application, "ClientCredentials", Required, |it| Probe::Token(it, Audience::Graph));
    asked.check_as(application, "Permissions", Required, |it| Probe::Roles(it, portal::GROUP_SYNC));
    for mapping in &spec.mappings {
        let name = format!("Group of role {}", mapping.role);
        asked.check_as(application, name, Required, |it| Probe::Group(it, mapping.group.clone()));
    }
    let variables = [
        ("SYNC_GROUPS_INTERVAL", Value::constant(&interval.to_string())),
        ("SYNC_GROUPS_AUTO_CREATE_USER", Value::lower_bool(spec.auto_create_users)),
    ];
    asked.demands.extend(variables.into_iter().map(|(name, value)| Demand {
        component: Component::Server,
        name: name.into(),
        value,
    }));
    if is_short(interval) {
        asked.problems.push(Problem::warning(
            "spec.interval",
            Code::IntervalShort,
            format!(
                "Timbr asks Entra for every group each {}, and Entra may slow it down; 5m or more is usual",
                spec.interval
            ),
        ));
    }
    if !case.has_sign_on() && (case.snapshot.complete || !case.sign_ons.is_empty()) {
        asked.problems.push(Problem::warning(
            "spec",
            Code::SingleSignOnMissing,
            "this installation has no AzureSso that is accepted: groups are synchronised, but nobody signs in as one of their members; create an AzureSso",
        ));
    }
    asked.problems.extend(competing(case));
    let mut portal: Vec<_> = portal::permissions(portal::GROUP_SYNC).collect();
    if let Some(principal) = credentials::principal(&spec.credentials, case) {
        let authority = &case.snapshot.settings.authority_url;
        portal.push(portal::consent(authority, principal.tenant_id(), principal.client_id()));
    }
    asked.details = Some(Status::RoleGroupSync(RoleGroupSyncStatus { portal, ..Default::default() }));
    asked
}

/// Timbr's platform can map roles too, from what a token says.
fn competing(case: &Case<'_>) -> Option<Problem> {
    const PREFIX: &str = "OAUTH_ROLE_MAPPING_";
    let is_off = |value: &LiveValue| match value {
        LiveValue::Plain(value) => matches!(value.expose(), b"" | b"false" | b"False"),
        LiveValue::SecretKey { .. } | LiveValue::Other(_) => false,
    };
    let container = case.container(Component::Platform)?;
    let found = container.env.iter().find(|env| env.name.starts_with(PREFIX) && !is_off(&env.value))?;
    Some(Problem::warning(
        "spec",
        Code::RoleMappingCompetes,
        format!(
            "timbr-platform's container {} sets {}, another mechanism that gives roles at sign-in, and the two may undo each other; keep one of them",
            container.name, found.name
        ),
    ))
}
