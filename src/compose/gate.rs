//! Whether new content may be delivered: what the checks of a resource say together.
//!
//! A resource is closed while one of its Required checks fails, or while nobody knows yet. What is closed asks for
//! nothing, and what it delivered before stays. A Fail counts until the same passes or something else is to be tried: it
//! is read back from status, so neither a restart nor an outage of who is asked delivers what is known to be bad. A Pass
//! in status is shown, and opens nothing.

use jiff::{SignedDuration, Timestamp};

use crate::api::{
    CheckLevel, CheckReason, CheckResult, CheckStatus, Code, Component, Delivery, Discovery, Kind, Meta, Problem,
    Reason, RolloutPolicy, Status, message,
};

use super::{
    Application, Check, Demand, Probe, Registration, Snapshot, Trial, Trials, Verdict,
    azure_sso::{lets_in, locks_out, sign_in},
    deployment::Claim,
    plan::Judgement,
    site::{Site, place_of},
    stable::{self, Reference},
};

/// Credentials that Entra has just made are refused for a while: so long a Fail is a matter of waiting.
pub const FRESH: SignedDuration = SignedDuration::from_mins(2);

/// What the checks of a resource say together.
struct Verification {
    statuses: Vec<CheckStatus>,
    verdict: Verdict,
    standing: Standing,
    /// When this is to be judged anew, though nothing else has changed.
    again: Option<Timestamp>,
}

/// Whether new content may be delivered.
enum Standing {
    /// Every Required check has passed.
    Proved,
    /// Nobody could be asked for so long that it is delivered all the same.
    Unproved,
    /// Not yet: this check has not passed.
    Waits(String),
    /// A Required check fails.
    Refused,
}

/// Judges the checks of every resource; what is new of one that is closed is not asked for.
pub fn judge_checks(snapshot: &Snapshot, sites: &[Site<'_>], judgements: &mut [Judgement], claims: &mut [Claim]) {
    let refused: Vec<Refused> = match &snapshot.trials {
        Some(trials) => judgements.iter().flat_map(|judgement| refused(snapshot, trials, judgement)).collect(),
        None => vec![],
    };
    for (judgement, claim) in judgements.iter_mut().zip(claims) {
        judgement.checks.extend(after_rollout(snapshot, sites, judgement, claim));
        let standing = match &snapshot.trials {
            Some(trials) if is_judged(judgement) => Some(verify(snapshot, trials, &refused, judgement)),
            _ => {
                keep(judgement);
                None
            }
        };
        let is_proved = matches!(standing, Some(Standing::Proved));
        withhold(snapshot, sites, judgement, claim, is_proved);
        let always = snapshot.rollout() == RolloutPolicy::Always;
        let closed = match standing {
            Some(Standing::Waits(check)) if !always => Verdict::no(
                Reason::BlockedByVerification,
                format!(
                    "waits for check {check}: what is new is delivered once every Required check has passed, or nobody could be asked for a while; see status.checks"
                ),
            ),
            Some(Standing::Refused) if !always => Verdict::pending("not delivered while a Required check fails"),
            _ => continue,
        };
        judgement.is_open = false;
        // Who cannot sign in otherwise is let in at once.
        let is_new = |demand: &Demand| !lets_in(demand) && !is_there(snapshot, sites, demand);
        if claim.active && claim.demands.iter().any(is_new) {
            claim.active = false;
            claim.demands.clear();
            judgement.delivered = closed;
        }
    }
}

/// Whether the checks of a resource are judged: it is valid, waits for nothing and is not suspended.
fn is_judged(judgement: &Judgement) -> bool {
    judgement.accepted.is_true() && judgement.references.is_true() && !judgement.suspended
}

/// Keeps what was found before, where nothing is judged now: a Fail counts again when it is.
fn keep(judgement: &mut Judgement) {
    let previous = judgement.previous.as_deref();
    judgement.recorded = records(previous).to_vec();
    if let Some(client_secret) = &mut judgement.client_secret {
        client_secret.hear(None, previous);
    }
    match (&mut judgement.details, previous) {
        (Status::AzureSso(now), Some(Status::AzureSso(before))) => {
            now.client_secret_expires = before.client_secret_expires;
        }
        (Status::ExternalTokenProvider(now), Some(Status::ExternalTokenProvider(before))) => {
            now.discovery.clone_from(&before.discovery);
        }
        _ => {}
    }
}

/// An application whose credentials Entra refuses: whatever they are used for, and by whichever resource.
struct Refused {
    application: Application,
    by: String,
    finding: Finding,
}

/// The credentials of a resource that are known to be refused.
fn refused(snapshot: &Snapshot, trials: &Trials, judgement: &Judgement) -> Vec<Refused> {
    const REASONS: [CheckReason; 5] = [
        CheckReason::TenantNotFound,
        CheckReason::ApplicationNotFound,
        CheckReason::ApplicationDisabled,
        CheckReason::ClientSecretInvalid,
        CheckReason::ClientSecretExpired,
    ];
    if !is_judged(judgement) {
        return vec![];
    }
    let tokens = judgement.checks.iter().filter(|check| matches!(check.probe, Probe::Token(..)));
    let looks = looks(snapshot, trials, &[], &judgement.meta, tokens, judgement.previous.as_deref());
    let refused = looks.into_iter().filter_map(|look| {
        let Probe::Token(application, _) = &look.check.probe else { return None };
        let finding = look.finding(trials);
        let is_of_them = REASONS.iter().any(|reason| finding.reason == reason.as_str());
        is_of_them.then(|| Refused { application: application.clone(), by: judgement.meta.holder(), finding })
    });
    refused.collect()
}

fn looks<'a>(
    snapshot: &Snapshot,
    trials: &'a Trials,
    refused: &'a [Refused],
    meta: &Meta,
    checks: impl IntoIterator<Item = &'a Check>,
    previous: Option<&'a Status>,
) -> Vec<Look<'a>> {
    let known = trials.of.get(&meta.uid);
    let looks = checks.into_iter().map(|check| {
        let key = check.key(&snapshot.name_key);
        let is_of = |refused: &&Refused| matches!(&check.probe, Probe::Token(by, _) if *by == refused.application);
        Look {
            check,
            trial: known.and_then(|known| known.get(&check.name)).filter(|trial| trial.key == key),
            record: records(previous).iter().find(|record| record.name == check.name && record.key == key),
            refused: refused.iter().find(is_of),
            key,
        }
    });
    looks.collect()
}

/// Judges the checks of a resource.
fn verify(snapshot: &Snapshot, trials: &Trials, refused: &[Refused], judgement: &mut Judgement) -> Standing {
    let previous = judgement.previous.as_deref();
    let looks = looks(snapshot, trials, refused, &judgement.meta, &judgement.checks, previous);
    let is_of_end = |look: &&Look<'_>| matches!(look.check.probe, Probe::Registration(_, Registration::SecretExpiry));
    if let (Some(client_secret), Some(look)) = (&mut judgement.client_secret, looks.iter().find(is_of_end)) {
        client_secret.hear(look.trial, look.record.and(previous));
    }
    if let Status::ExternalTokenProvider(status) = &mut judgement.details {
        status.discovery = looks.iter().find_map(|look| published(look, previous));
    }
    let Verification { statuses, verdict, standing, again } =
        Verification::of(looks.into_iter(), trials, judgement.meta.kind);
    (judgement.tried, judgement.verified, judgement.again) = (statuses, verdict, again);
    standing
}

/// What can be tried once pods run with everything that the resource asks for. Once tried it stays, whatever others do
/// to the pods.
fn after_rollout(snapshot: &Snapshot, sites: &[Site<'_>], judgement: &Judgement, claim: &Claim) -> Option<Check> {
    let spec = judgement.sign_on.as_ref().filter(|_| snapshot.trials.is_some())?;
    // What is withheld is no part of it.
    let mut demands = claim.demands.iter().filter(|demand| !locks_out(demand)).peekable();
    demands.peek()?;
    if !demands.all(|demand| is_in_force(snapshot, sites, demand)) {
        return None;
    }
    let check = sign_in(spec, &judgement.checks)?;
    let key = check.key(&snapshot.name_key);
    let was_tried =
        records(judgement.previous.as_deref()).iter().any(|record| record.name == check.name && record.key == key);
    let runs = |component: &Component| {
        let live = place_of(sites, *component).and_then(|(site, _)| site.live());
        live.is_some_and(|live| live.rollout.is_complete(live.generation))
    };
    (was_tried || claim.components.iter().all(runs)).then_some(check)
}

/// The keys that an issuer published when it was last looked at; until this process has done so, what status says.
fn published(look: &Look<'_>, before: Option<&Status>) -> Option<Discovery> {
    let passed = look.trial.and_then(|trial| trial.passed.as_ref());
    match (passed, before, look.record) {
        (Some((_, passed)), ..) => passed.keys.as_deref().cloned(),
        (None, Some(Status::ExternalTokenProvider(before)), Some(_)) => before.discovery.clone(),
        _ => None,
    }
}

/// What status says of checks.
fn records(previous: Option<&Status>) -> &[CheckStatus] {
    previous.map(|status| status.common().checks.as_slice()).unwrap_or_default()
}

/// Takes off what would lock everybody out if single sign-on did not work, until it is proved; what is there
/// stays.
fn withhold(snapshot: &Snapshot, sites: &[Site<'_>], judgement: &mut Judgement, claim: &mut Claim, is_proved: bool) {
    let before = claim.demands.len();
    claim.demands.retain(|demand| !locks_out(demand) || is_proved || is_there(snapshot, sites, demand));
    if claim.demands.len() < before {
        judgement.problems.push(Problem::warning(
            "spec.passwordLogin",
            Code::PasswordLoginStillEnabled,
            "people can still sign in with user name and password: AUTH_WITH_USERPASS=false is held back until the credentials of this resource are verified, so that a mistake in them locks nobody out",
        ));
    }
}

/// Whether just this is delivered already, to the pods or into the Secret that charts name: to ask for it brings
/// nothing new.
fn is_there(snapshot: &Snapshot, sites: &[Site<'_>], demand: &Demand) -> bool {
    let place = place_of(sites, demand.component);
    // On a Deployment that is nobody's to write nothing is delivered.
    let Some((site, container)) = place else { return true };
    let Ok(container) = container else { return false };
    let variable: &str = &demand.name;
    let is_shelved = || site.shelved((container, variable)).is_some_and(|value| demand.value.is(value));
    let stable = || Some((site.stable(container)?.0.stable_secret(), variable));
    match site.variables().get(container, variable) {
        [] => is_shelved(),
        [value] => snapshot.is_value(value, &demand.value) || (value.secret() == stable() && is_shelved()),
        _ => false,
    }
}

/// The same, where a pod that is started now gets it.
fn is_in_force(snapshot: &Snapshot, sites: &[Site<'_>], demand: &Demand) -> bool {
    let Some((site, Ok(container))) = place_of(sites, demand.component) else { return false };
    let place = (container, demand.name.as_ref());
    let is_taken = match (snapshot.delivery(), site.stable(container)) {
        (Some(Delivery::Reference), Some((component, _))) => {
            stable::reference(site, place, component.stable_secret()) == Reference::Taken
        }
        _ => !site.variables().get(container, &demand.name).is_empty(),
    };
    is_taken && is_there(snapshot, sites, demand)
}

/// A check, and what is known of it.
struct Look<'a> {
    check: &'a Check,
    key: String,
    /// What this process knows of just this.
    trial: Option<&'a Trial>,
    /// What status says of just this.
    record: Option<&'a CheckStatus>,
    /// Whether the credentials are known to be refused otherwise.
    refused: Option<&'a Refused>,
}

/// What counts for a check.
struct Finding {
    reason: String,
    result: CheckResult,
    message: String,
}

impl Finding {
    fn new(reason: CheckReason, message: impl Into<String>) -> Self {
        Self { reason: reason.to_string(), result: reason.finding(), message: message.into() }
    }

    fn recorded(record: &CheckStatus) -> Self {
        Self { reason: record.reason.clone(), result: record.result, message: record.message.clone() }
    }
}

impl Look<'_> {
    /// What counts: what is known of it, else what is known of the same credentials by another resource.
    fn finding(&self, trials: &Trials) -> Finding {
        let own = self.own(trials);
        match self.refused.filter(|_| own.result == CheckResult::Unknown) {
            Some(Refused { by, finding, .. }) => Finding {
                reason: finding.reason.clone(),
                result: finding.result,
                message: format!("as {by} has found: {}", finding.message),
            },
            None => own,
        }
    }

    /// What is known of it: the last answer, unless it is none. Then a Fail goes on, and a Pass for two intervals.
    fn own(&self, trials: &Trials) -> Finding {
        let last = self.trial.and_then(|trial| trial.last.as_ref());
        let Some(last) = last else {
            let first = || Finding::new(CheckReason::InProgress, "it is being tried for the first time");
            return self.record.map_or_else(first, Finding::recorded);
        };
        let now = Finding::new(last.reason, last.message.as_str());
        if now.result != CheckResult::Unknown {
            return now;
        }
        let trial = self.trial.filter(|trial| trial.failed.is_some() || trial.passed.is_some());
        if let Some(failed) = trial.and_then(|trial| trial.failed.as_ref()) {
            return Finding::new(failed.reason, failed.message.as_str());
        }
        // Who takes over knows not when it passed: the time runs from when he first asked.
        let passed = match (trial.and_then(|trial| trial.passed.as_ref()), self.record, self.trial) {
            (Some((at, tried)), ..) => Some((*at, Finding::new(tried.reason, tried.message.as_str()))),
            (None, Some(record), _) if record.result == CheckResult::Fail => return Finding::recorded(record),
            (None, Some(record), Some(trial))
                if record.result == CheckResult::Pass || record.reason == CheckReason::Stale.as_str() =>
            {
                Some((trial.begun, Finding::recorded(record)))
            }
            _ => None,
        };
        match passed {
            None => now,
            Some((at, passed)) if trials.now.duration_since(at) <= trials.interval * 2 => passed,
            Some(_) => Finding::new(CheckReason::Stale, format!("it passed before, and since then: {}", now.message)),
        }
    }

    /// As status tells it: in the same words, and since the same time, for as long as it says the same.
    fn status(&self, trials: &Trials) -> CheckStatus {
        let Finding { reason, result, message: text } = self.finding(trials);
        let same = self.record.filter(|record| record.result == result);
        let now = Timestamp::from_second(trials.now.as_second()).unwrap_or(trials.now);
        CheckStatus {
            name: self.check.name.clone(),
            level: self.check.level,
            result,
            message: match same.filter(|record| record.reason == reason && is_said(&record.message, &text)) {
                Some(record) => record.message.clone(),
                None => message(&text),
            },
            reason,
            since: same.map_or(now, |record| record.since),
            key: self.key.clone(),
        }
    }

    /// Until when nobody's knowing keeps new content back. For a first answer there is more patience: many may wait
    /// for their turn. `None` as long as it is not even its turn.
    fn patient_until(&self, trials: &Trials) -> Option<Timestamp> {
        let trial = self.trial?;
        let more = if trial.last.is_some() { SignedDuration::ZERO } else { FRESH };
        let patience = trials.unknown_grace.saturating_add(more);
        Some(trial.begun.saturating_add(patience).unwrap_or(Timestamp::MAX))
    }

    /// Whether this process has seen it pass: what is written in status opens nothing.
    fn is_proved(&self) -> bool {
        self.trial.is_some_and(|trial| trial.passed.is_some() && trial.failed.is_none())
    }
}

/// Whether a text says what another one does, but for ids and times: words with a digit in them.
fn is_said(before: &str, now: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let words = text.split_whitespace().filter(|word| !word.contains(|c: char| c.is_ascii_digit()));
        words.map(str::to_owned).collect()
    };
    words(before) == words(&message(now))
}

impl Verification {
    fn of<'a>(looks: impl Iterator<Item = Look<'a>>, trials: &Trials, kind: Kind) -> Self {
        let mut standing = Standing::Proved;
        let mut again: Option<Timestamp> = None;
        let mut statuses = Vec::new();
        for look in looks {
            let status = look.status(trials);
            let mut note = |at: Timestamp| again = again.into_iter().chain([at]).min();
            if status.result == CheckResult::Fail && is_fresh(&status, trials) {
                note(until_stale(&status));
            }
            if look.check.level == CheckLevel::Required {
                let is_known = status.result == CheckResult::Pass && look.is_proved();
                standing = match (standing, status.result) {
                    (_, CheckResult::Fail) | (Standing::Refused, _) => Standing::Refused,
                    (standing, _) if is_known => standing,
                    (standing, _) => match look.patient_until(trials) {
                        Some(until) if until <= trials.now => match standing {
                            Standing::Proved => Standing::Unproved,
                            other => other,
                        },
                        until => {
                            until.into_iter().for_each(&mut note);
                            match standing {
                                Standing::Waits(first) => Standing::Waits(first),
                                _ => Standing::Waits(look.check.name.clone()),
                            }
                        }
                    },
                };
            }
            statuses.push(status);
        }
        let verdict = verdict(&statuses, trials, kind);
        Self { statuses, verdict, standing, again }
    }
}

/// Until when a Fail is a matter of waiting.
fn until_stale(status: &CheckStatus) -> Timestamp {
    status.since.saturating_add(FRESH).unwrap_or(Timestamp::MAX)
}

fn is_fresh(status: &CheckStatus, trials: &Trials) -> bool {
    trials.now < until_stale(status)
}

/// Verified.
fn verdict(statuses: &[CheckStatus], trials: &Trials, kind: Kind) -> Verdict {
    let of = |result: CheckResult| statuses.iter().filter(move |status| status.result == result);
    let required = |status: &&CheckStatus| status.level == CheckLevel::Required;
    let tell = |status: &CheckStatus| format!("{}: {}", status.name, status.message);
    if let Some(first) = of(CheckResult::Fail).find(required).or_else(|| of(CheckResult::Fail).next()) {
        let more = match of(CheckResult::Fail).count() {
            1 => String::new(),
            n => format!(" (and {} more in status.checks)", n - 1),
        };
        let is_fresh = of(CheckResult::Fail).any(|status| is_fresh(status, trials));
        let cause = is_fresh.then_some(Reason::Retrying);
        return Verdict { cause, ..Verdict::no(Reason::CheckFailed, tell(first) + &more) };
    }
    let passed = of(CheckResult::Pass).count();
    let unknown = match passed {
        0 => of(CheckResult::Unknown).find(required).or_else(|| of(CheckResult::Unknown).next()),
        _ => of(CheckResult::Unknown).find(required),
    };
    if let Some(first) = unknown {
        return Verdict { reason: of_unknown(&first.reason), ..Verdict::pending(tell(first)) };
    }
    if passed == 0 {
        return not_checked(kind);
    }
    let others: Vec<&str> = of(CheckResult::Unknown).map(|status| status.name.as_str()).collect();
    let others = match others.as_slice() {
        [] => String::new(),
        names => format!("; nobody knows of {}, see status.checks", names.join(", ")),
    };
    Verdict::yes(Reason::Verified, format!("{passed} of {} checks passed{others}", statuses.len()))
}

/// The condition's reason for a check of which nobody knows.
fn of_unknown(reason: &str) -> Reason {
    let is = |other: CheckReason| reason == other.as_str();
    match reason {
        _ if is(CheckReason::InProgress) => Reason::InProgress,
        _ if is(CheckReason::NotPermitted) => Reason::NotPermitted,
        _ if is(CheckReason::Stale) => Reason::Stale,
        _ => Reason::Unreachable,
    }
}

/// Verified, where nothing was tried out.
pub fn not_checked(kind: Kind) -> Verdict {
    Verdict {
        reason: Reason::NotChecked,
        ..Verdict::pending(match kind {
            Kind::ExternalTokenProvider => "the issuer and its keys were not looked at",
            Kind::InboundAccessPolicy => "the groups were not looked up",
            _ => "the credentials were not tried out",
        })
    }
}
