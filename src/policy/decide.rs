//! The decision.

use crate::api::PolicyTarget;

use super::{
    Caller, Claims, Code, Decision, Door, Granted, Groups, MatchedRule, Policy, Trust, caller::Identity, matching,
    policies::Policies,
};

/// Whether a caller may use a component.
pub fn decide(trust: &Trust, target: PolicyTarget, policies: &[Policy<'_>], caller: &Caller) -> Decision {
    let identity = caller.identity(trust);
    let policies = Policies::of(target, policies);
    let case = Case { trust, target, door: policies.door(trust), policies, identity: &identity };
    let (allow, code, message, admission) = match case.admission() {
        Ok(admission) => (true, admission.code, case.admitted(&admission), admission),
        Err(code) if case.door == Door::Audit => {
            let message =
                format!("would be refused ({}), but the policies only watch: {}", code.as_str(), case.refused(code));
            (true, Code::AuditOnly, message, Admission::by_nothing(Code::AuditOnly))
        }
        Err(code) => (false, code, case.refused(code), Admission::by_nothing(code)),
    };
    let Admission { matched, granted, .. } = admission;
    Decision { allow, code, message, matched_rules: matched, caller: identity.name(), granted }
}

/// Why somebody comes in.
pub(super) struct Admission {
    pub(super) code: Code,
    pub(super) matched: Vec<MatchedRule>,
    granted: Granted,
}

impl Admission {
    fn by_nothing(code: Code) -> Self {
        Self { code, matched: vec![], granted: Granted::default() }
    }
}

/// A question, and all that its answer depends on.
pub(super) struct Case<'a> {
    pub(super) trust: &'a Trust,
    pub(super) target: PolicyTarget,
    door: Door,
    pub(super) policies: Policies<'a>,
    pub(super) identity: &'a Identity<'a>,
}

impl Case<'_> {
    /// Why the caller comes in, or why not.
    fn admission(&self) -> Result<Admission, Code> {
        match self.door {
            Door::NoPolicy => return Ok(Admission::by_nothing(Code::NoPolicy)),
            Door::PolicyMissing => return Err(Code::PolicyMissing),
            Door::PolicyRemoved => return Err(Code::PolicyRemoved),
            Door::PolicyNotAccepted => return Err(Code::PolicyNotAccepted),
            Door::Audit | Door::Enforce => {}
        }
        match self.identity {
            Identity::Application(_, token) => self.application(*token),
            Identity::User(claims) => self.user(claims),
        }
    }

    fn application(&self, token: Option<&Claims>) -> Result<Admission, Code> {
        let mut admission = Admission::by_nothing(Code::RuleMatched);
        for (part, policy, rule) in self.policies.rules() {
            if matching::admits(rule, policy.namespace, self.identity, self.trust) {
                admission.matched.push(part);
                admission.granted.extend(Granted::of(rule));
            }
        }
        if !admission.matched.is_empty() {
            return Ok(admission);
        }
        Err(match (self.identity, token) {
            (Identity::Application(None, _), Some(claims)) => {
                let is_named = self.policies.rules().any(|(_, _, rule)| matching::is_client(rule, claims));
                if is_named { Code::IssuerNotTrusted } else { Code::CallerUnknown }
            }
            _ => Code::NoRuleMatched,
        })
    }

    /// Users are those of the directory that people sign in to: nobody else can say who is in its groups.
    fn user(&self, claims: &Claims) -> Result<Admission, Code> {
        let directory = self.trust.directory.as_ref();
        if !directory.is_some_and(|directory| self.trust.entra.is(directory, &claims.issuer)) {
            return Err(Code::IssuerNotTrusted);
        }
        let open = self.policies.heard().filter(|(_, spec)| spec.allow_all_users);
        let open: Vec<_> = open.map(|(policy, _)| policy.part("spec.allowAllUsers")).collect();
        if !open.is_empty() {
            return Ok(Admission { matched: open, ..Admission::by_nothing(Code::AllUsers) });
        }
        let listed = self.policies.heard().flat_map(|(policy, spec)| {
            let groups = spec.claims.groups.iter().enumerate();
            groups.map(move |(i, group)| (policy.part(format!("spec.claims.groups[{i}]")), &group.id))
        });
        let mut listed = listed.peekable();
        let Groups::Listed(groups) = &claims.groups else {
            let is_group_asked_for = listed.peek().is_some();
            return Err(if is_group_asked_for { Code::GroupsNotInToken } else { Code::UserNotListed });
        };
        let matched: Vec<_> = listed
            .filter(|(_, id)| groups.iter().any(|group| group.eq_ignore_ascii_case(id)))
            .map(|(part, _)| part)
            .collect();
        if matched.is_empty() {
            return Err(Code::UserNotListed);
        }
        Ok(Admission { matched, ..Admission::by_nothing(Code::GroupMatched) })
    }
}
