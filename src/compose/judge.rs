//! Judges resources one by one, up to the point where Deployments matter.

use std::collections::BTreeMap;

use crate::api::{Code, DeletionPolicy, Kind, Meta, Problem, Reason, Resource, Severity, Spec, Status};

use super::{
    Case, Demand, Foreign, LiveContainer, LiveDeployment, LiveSecret, Snapshot, Unresolved, Verdict,
    attribution::Attribution,
    credentials::{self, Principal, TRIO},
    deployment::Claim,
    external_token_provider,
    gate::not_checked,
    installation::{Claims, Target, undecodable},
    keep::could_be_kept,
    kinds::{self, Place, components_of},
    ownership::by_ref,
    plan::{Asked, Judgement, is_ours},
    stable::Stable,
};

/// Why a resource has no place.
struct Refusal {
    reason: Reason,
    code: Code,
    sentence: String,
    /// The resource that has its place: nothing of this one stays once that one delivers.
    displaced_by: Option<String>,
}

impl Refusal {
    fn new(reason: Reason, code: Code, sentence: String) -> Self {
        Self { reason, code, sentence, displaced_by: None }
    }
}

/// Who has a place.
#[derive(Clone, Copy, Debug)]
struct Owner<'a> {
    meta: &'a Meta,
    /// Of one in another namespace: the organization that both belong to.
    organization: Option<&'a str>,
}

/// The service principal of the installation, and who named it first.
struct Trio {
    holder: String,
    /// What the holder names, if that can be told.
    principal: Option<Principal>,
    /// Whether the holder is valid, waits for nothing and is not suspended: else the Deployment carries what it named before.
    stands: bool,
}

/// What the judge knows of the installation.
pub struct Judge<'a> {
    snapshot: &'a Snapshot,
    claims: &'a Claims<'a>,
    targets: &'a [Target],
    /// Whether the TimbrInstallation is suspended.
    suspended: bool,
    /// Who has each place of which there is one.
    places: BTreeMap<Place, Owner<'a>>,
    case: Case<'a>,
    trio: Option<Trio>,
}

impl<'a> Judge<'a> {
    /// A judge for the snapshot's installation.
    pub fn new(snapshot: &'a Snapshot, claims: &'a Claims<'a>, targets: &'a [Target]) -> Self {
        let installation = snapshot.key.name.as_ref().and_then(|name| claims.get(name));
        let suspended = installation.and_then(|found| found.spec.as_ref().ok()).is_some_and(|spec| spec.suspend);
        let case = Case::new(snapshot, targets);
        Self { snapshot, claims, targets, suspended, places: BTreeMap::new(), case, trio: None }
    }

    /// Judges every resource of the installation, oldest first; what each asks for stands at the same
    /// index.
    pub fn judge_all(mut self) -> (Vec<Judgement>, Vec<Claim>) {
        let names = self.claims.names();
        let mut resources: Vec<(&'a Resource<Spec>, Option<Refusal>)> = Vec::new();
        for resource in &self.snapshot.resources {
            match resource.key(&names) {
                Ok(key) if key == self.snapshot.key => resources.push((resource, None)),
                Ok(_) => {}
                // The implicit installation speaks for resources that belong to none.
                Err(error) if self.snapshot.key.name.is_none() => {
                    let refusal = Refusal::new(Reason::InstallationNotFound, Code::InstallationNotFound, error);
                    resources.push((resource, Some(refusal)));
                }
                Err(_) => {}
            }
        }
        resources.sort_by(|(a, _), (b, _)| a.meta.age_order(&b.meta));
        let at_home = || resources.iter().filter(|(_, adrift)| adrift.is_none()).map(|(resource, _)| *resource);
        self.case.has_tenants = at_home().any(|resource| resource.meta.kind == Kind::JwtTenant);
        self.places = places(at_home(), &self.snapshot.foreign);
        // Leads first, as others build on them; told by age all the same.
        let mut leads = BTreeMap::new();
        for (i, (resource, adrift)) in resources.iter_mut().enumerate() {
            if kinds::is_lead(resource.meta.kind) {
                leads.insert(i, self.judge(resource, adrift.take()));
            }
        }
        let mut judged = (Vec::with_capacity(resources.len()), Vec::with_capacity(resources.len()));
        for (i, (resource, adrift)) in resources.into_iter().enumerate() {
            let (judgement, claim) = leads.remove(&i).unwrap_or_else(|| self.judge(resource, adrift));
            judged.0.push(judgement);
            judged.1.push(claim);
        }
        judged
    }

    fn judge(&mut self, resource: &'a Resource<Spec>, adrift: Option<Refusal>) -> (Judgement, Claim) {
        let meta = &resource.meta;
        let nobody = adrift.is_some().then(|| Case::of_nobody(self.snapshot));
        let at_home = adrift.is_none();
        let refusal = adrift.or_else(|| self.refuse(resource));
        let mut problems = problems(resource);
        // What one wants that has no place at all concerns nobody.
        let is_asked = problems.is_empty()
            && refusal.as_ref().is_none_or(|refusal| refusal.reason != Reason::DuplicateInInstallation);
        let spec = resource.spec.as_ref().ok().filter(|_| is_asked);
        let asked = spec.map(|spec| kinds::ask(spec, nobody.as_ref().unwrap_or(&self.case))).unwrap_or_default();
        let Asked { demands, problems: mut more, unresolved, checks, client_secret, details } = asked;
        problems.append(&mut more);
        if let (Some(Spec::ExternalTokenProvider(spec)), None) = (spec.filter(|_| at_home), &refusal) {
            problems.extend(external_token_provider::shared(spec, &self.snapshot.foreign));
        }
        let suspended = self.suspended || resource.suspended();
        let is_valid = problems.iter().all(|problem| problem.severity != Severity::Error);
        let stands = is_valid && unresolved.is_empty() && !suspended;
        // Of one that has no place in the installation, the principal counts for nothing.
        let refusal = refusal.or_else(|| self.refuse_principal(resource, stands, &demands));
        if let Some(Refusal { code, sentence, .. }) = &refusal {
            problems.push(Problem::error("spec", *code, sentence.clone()));
        }
        let displaced_by = refusal.as_ref().and_then(|refusal| refusal.displaced_by.clone());
        let collides = refusal.as_ref().is_some_and(|refusal| refusal.reason == Reason::Collision);
        let accepted = accepted(&problems, refusal.map(|refusal| (refusal.reason, refusal.sentence)));
        let references = references(&accepted, &unresolved);
        let components = components_of(meta.kind);
        let here = self.targets.iter().filter(|target| components.contains(&target.component));
        let blocked = !accepted.is_true() || !references.is_true();
        let active = !blocked && !suspended;
        if at_home {
            self.case.lead(resource, accepted.is_true(), !blocked);
        }
        let judgement = Judgement {
            meta: meta.clone(),
            groups: match &resource.spec {
                Ok(Spec::RoleGroupSync(spec)) => Some(spec.clone()),
                _ => None,
            },
            sign_on: match &resource.spec {
                Ok(Spec::AzureSso(spec)) => Some(spec.clone()),
                _ => None,
            },
            untrusted: matches!(&resource.spec, Ok(Spec::ExternalTokenProvider(spec)) if !spec.enabled),
            previous: resource.status.clone(),
            suspended,
            delivered: Verdict::pending(match blocked {
                true => "not judged while the conditions above are not met",
                false => "not judged while suspended",
            }),
            network: None,
            guards: None,
            problems,
            accepted,
            references,
            unresolved,
            deployments: here.map(|target| target.deployment.clone()).collect(),
            set_elsewhere: vec![],
            checks: if active { checks } else { vec![] },
            tried: vec![],
            recorded: vec![],
            is_open: true,
            verified: match blocked {
                true => Verdict::pending("not judged while the conditions above are not met"),
                false => not_checked(meta.kind),
            },
            client_secret,
            again: None,
            details: self.details(resource, details),
            in_force: false,
        };
        let has_place = at_home && displaced_by.is_none();
        let claim = Claim {
            holder: meta.holder(),
            components,
            demands: if active { demands } else { vec![] },
            active,
            displaced_by,
            collides,
            seizures: vec![],
            lost: vec![],
            retains: match &resource.spec {
                Ok(Spec::KeyVaultBinding(spec)) if has_place => Some(spec.deletion_policy == DeletionPolicy::Retain),
                _ => None,
            },
        };
        (judgement, claim)
    }

    /// The kind's own part of status. What a provider holds it keeps, though it wants more by now, or
    /// cannot speak for itself.
    fn details(&self, resource: &Resource<Spec>, details: Option<Status>) -> Status {
        // Of files nobody knows who runs.
        if let (Ok(Spec::InboundAccessPolicy(spec)), true) = (&resource.spec, self.snapshot.complete) {
            return Status::InboundAccessPolicy(self.case.guests().status(&resource.meta.name, spec.target));
        }
        let is_asked = details.is_some();
        let mut details = details.unwrap_or_else(|| Status::empty(resource.meta.kind));
        if let Status::ExternalTokenProvider(status) = &mut details {
            if !is_asked {
                status.holds = external_token_provider::held(resource);
            }
            status.holds.retain(|pair| self.taken(&external_token_provider::place(pair), &resource.meta).is_none());
        }
        details
    }

    /// Why a resource of the installation has no place in it.
    fn refuse(&self, resource: &'a Resource<Spec>) -> Option<Refusal> {
        let meta = &resource.meta;
        let key = &self.snapshot.key;
        let installation = key.name.as_ref().and_then(|name| self.claims.get(name));
        if let Some(unreadable) = installation.filter(|installation| installation.spec.is_err()) {
            let sentence = format!("TimbrInstallation {} cannot be read; its status says why", unreadable.meta.name);
            return Some(Refusal::new(Reason::InstallationNotFound, Code::InstallationNotFound, sentence));
        }
        // Of one that cannot be read only its record says what it has by name, and that forgets what another has.
        let is_told = |place: &&Place| resource.spec.is_ok() || matches!(place, Place::Kind(_));
        let wanted = kinds::places(resource);
        if let Some((place, has)) =
            wanted.iter().filter(is_told).find_map(|place| Some((place, self.taken(place, meta)?)))
        {
            let (title, holder) = (key.title(), has.meta.holder());
            if let Some(organization) = has.organization {
                let sentence = format!(
                    "{} is held by an ExternalTokenProvider in another namespace of organization {organization}; delete one of the two, or change this one",
                    kinds::place_title(place)
                );
                return Some(Refusal::new(Reason::Collision, Code::Collision, sentence));
            }
            let refusal = match place {
                Place::Kind(_) => Refusal::new(
                    Reason::DuplicateInInstallation,
                    Code::DuplicateInInstallation,
                    format!(
                        "installation {title} has {holder} already, which is older; delete one of the two, or give this one another installation"
                    ),
                ),
                Place::Named(..) => Refusal::new(
                    Reason::Collision,
                    Code::Collision,
                    format!(
                        "{} is held by {holder} in installation {title}; delete one of the two, or change this one",
                        kinds::place_title(place)
                    ),
                ),
            };
            return Some(Refusal { displaced_by: Some(holder), ..refusal });
        }
        let components = components_of(meta.kind);
        let mut here = self.targets.iter().filter(|target| components.contains(&target.component));
        let taken = here.find(|target| !is_ours(self.claims, self.snapshot, &target.deployment))?;
        Some(Refusal::new(Reason::Collision, Code::Collision, taken_sentence(self.claims, &taken.deployment)))
    }

    /// Who else has a place that a resource wants.
    fn taken(&self, place: &Place, by: &Meta) -> Option<Owner<'a>> {
        self.places.get(place).copied().filter(|has| !std::ptr::eq(has.meta, by))
    }

    /// Why a resource cannot have its service principal: timbr-server has one for everything, and an
    /// older resource named another. One that does not stand (it is invalid, waits or is suspended) holds only what it
    /// delivered before.
    fn refuse_principal(&mut self, resource: &Resource<Spec>, stands: bool, demands: &[Demand]) -> Option<Refusal> {
        let wanted = match &resource.spec {
            Ok(Spec::RoleGroupSync(spec)) => credentials::principal(&spec.credentials, &self.case),
            Ok(Spec::KeyVaultBinding(spec)) => credentials::principal(&spec.credentials, &self.case),
            // One that cannot be read names none, and may hold one all the same.
            Err(_) if matches!(resource.meta.kind, Kind::RoleGroupSync | Kind::KeyVaultBinding) => None,
            Ok(_) | Err(_) => return None,
        };
        let holder = resource.meta.holder();
        match &self.trio {
            None => {
                if (stands && wanted.is_some()) || self.carries_principal(&holder) {
                    self.trio = Some(Trio { holder, principal: wanted, stands });
                }
                None
            }
            Some(trio) => {
                let wanted = wanted?;
                let is_shared = match &trio.principal {
                    Some(principal) if principal.is_same(&wanted) => true,
                    _ if trio.stands => false,
                    // It names another by now, and what it delivered is there still: whoever shares that
                    // goes on, but replaces it by nothing else.
                    Some(_) if stands => self.carries_as_asked(&holder, demands),
                    // What it named cannot be told any more, or nothing is asked for: whoever shares it goes on.
                    _ => self.carries_principal(&holder),
                };
                (!is_shared).then(|| {
                    let sentence = format!(
                        "timbr-server has one service principal (AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET) for group synchronisation and key vault together, and {} names another; give both the same tenant, client id and Secret: one app registration with Microsoft Graph User.Read.All, Group.Read.All and GroupMember.Read.All, and Get, List, Set and Delete in the key vault",
                        trio.holder
                    );
                    Refusal::new(Reason::Collision, Code::Collision, sentence)
                })
            }
        }
    }

    /// Whether the server carries a principal on a resource's account: the record alone is none, as
    /// somebody may have taken the variables off.
    fn carries_principal(&self, holder: &str) -> bool {
        self.carriers(holder).next().is_some()
    }

    /// The containers that carry a principal on a resource's account, with the Secrets that charts name for them.
    fn carriers(&self, holder: &str) -> impl Iterator<Item = (&'a LiveContainer, Option<&'a LiveSecret>)> {
        let live = self.snapshot.deployments.iter().filter_map(|(name, lookup)| Some((name, lookup.found()?)));
        let read = live.filter_map(|(name, live)| Some((name, live, Attribution::read(live.delivered.as_deref())?)));
        read.flat_map(move |(name, live, attribution)| {
            let carries = |container: &&'a LiveContainer| {
                let place = (container.name.clone(), TRIO[0].to_owned());
                let is_in_entry = live.ownership.ours.contains(&place) && could_be_kept(live, &place).is_some();
                let is_shelved =
                    || self.shelf(name, live, container).is_some_and(|secret| secret.data.contains_key(TRIO[0]));
                attribution.holders(by_ref(&place)).any(|name| name == holder) && (is_in_entry || is_shelved())
            };
            let found: Vec<_> = live.containers.iter().filter(carries).collect();
            found.into_iter().map(move |container| (container, self.shelf(name, live, container)))
        })
    }

    /// The Secret that charts name for a container, if it is there and ours.
    fn shelf(&self, deployment: &str, live: &LiveDeployment, container: &LiveContainer) -> Option<&'a LiveSecret> {
        let mut here = self.targets.iter().filter(|target| target.deployment == deployment);
        let target = here.find(|target| target.find_container(live).as_ref() == Ok(&container.name))?;
        Stable::find(self.snapshot, target.component).ours()
    }

    /// Whether the principal that is carried on a resource's account is the one that it asks for, to the
    /// letter.
    fn carries_as_asked(&self, holder: &str, demands: &[Demand]) -> bool {
        let asked = || demands.iter().filter(|demand| TRIO.contains(&demand.name.as_ref()));
        let has = |container: &LiveContainer, shelf: Option<&LiveSecret>, demand: &Demand| {
            let mut entries = container.variables(&demand.name).peekable();
            match entries.peek() {
                Some(_) => entries.any(|live| self.snapshot.is_value(live, &demand.value)),
                None => {
                    let value = shelf.and_then(|secret| secret.data.get(demand.name.as_ref()));
                    value.is_some_and(|value| demand.value.is(value))
                }
            }
        };
        self.carriers(holder).any(|(container, shelf)| asked().all(|demand| has(container, shelf, demand)))
    }
}

/// What is wrong with a resource by itself.
fn problems(resource: &Resource<Spec>) -> Vec<Problem> {
    match &resource.spec {
        Err(unreadable) => vec![undecodable(resource.meta.kind, &unreadable.error)],
        Ok(spec) => kinds::problems(spec),
    }
}

/// Who has each place: whoever has it already, else the oldest who wants it.
fn places<'a>(at_home: impl Iterator<Item = &'a Resource<Spec>>, foreign: &'a [Foreign]) -> BTreeMap<Place, Owner<'a>> {
    let at_home = at_home.flat_map(|resource| {
        let owner = Owner { meta: &resource.meta, organization: None };
        let places = kinds::places(resource).into_iter();
        places.map(move |place| (kinds::is_incumbent(resource, &place), place, owner))
    });
    let foreign = foreign.iter().filter_map(|Foreign { meta, pair, holds, organization }| {
        let owner = Owner { meta, organization: Some(organization.as_deref()?) };
        Some((*holds, external_token_provider::place(pair), owner))
    });
    let mut wanted: Vec<(bool, Place, Owner<'a>)> = at_home.chain(foreign).collect();
    wanted.sort_by(|(a_has, _, a), (b_has, _, b)| b_has.cmp(a_has).then_with(|| a.meta.age_order(b.meta)));
    let mut places = BTreeMap::new();
    for (_, place, owner) in wanted {
        places.entry(place).or_insert(owner);
    }
    places
}

/// The sentence about a Deployment that an older installation has.
pub fn taken_sentence(claims: &Claims<'_>, deployment: &str) -> String {
    format!(
        "Deployment {deployment} belongs to TimbrInstallation {}, which is older and names it too; name another Deployment in spec.components of one of the two",
        claims.holder(deployment).unwrap_or_default()
    )
}

/// Accepted: refused for its place, or for its first Error, or not at all.
pub fn accepted(problems: &[Problem], refused: Option<(Reason, String)>) -> Verdict {
    let mut errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
    match (refused, errors.next()) {
        (Some((reason, message)), _) => Verdict::no(reason, message),
        (None, Some(first)) => {
            let more = match errors.count() {
                0 => String::new(),
                n => format!(" (and {n} more in status.problems)"),
            };
            Verdict::no(Reason::InvalidSpec, format!("{}: {}{more}", first.path, first.message))
        }
        (None, None) => Verdict::yes(Reason::Accepted, "the resource is valid"),
    }
}

/// ReferencesResolved.
pub fn references(accepted: &Verdict, unresolved: &[Unresolved]) -> Verdict {
    if !accepted.is_true() {
        return Verdict::pending("not judged while the resource is not accepted");
    }
    match unresolved {
        [] => Verdict::yes(Reason::Resolved, "everything that is referenced is there"),
        [first, rest @ ..] => {
            let more = rest.iter().map(|unresolved| format!("; {}: {}", unresolved.path, unresolved.message));
            Verdict::no(first.reason, format!("{}: {}{}", first.path, first.message, more.collect::<String>()))
        }
    }
}
