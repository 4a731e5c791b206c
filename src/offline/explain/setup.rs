//! What of a namespace a token is held against.

use crate::{
    api::{ExternalTokenProviderSpec, JwtAuthenticationSpec, JwtTenantSpec, Kind, Meta, Object, Spec},
    offline::{Installation, Judged, objects::Ours},
    policy::Directory,
};

/// What of a namespace a token is held against.
#[derive(Debug)]
pub struct Setup<'a> {
    /// Where directories' tokens come from.
    pub entra: Directory,
    /// How clients of timbr-api authenticate, one an installation.
    pub authentications: Vec<Authentication<'a>>,
    /// Whose tokens are trusted.
    pub providers: Vec<(&'a Meta, &'a ExternalTokenProviderSpec)>,
    /// What would be one of these and does not count.
    pub not_accepted: Vec<&'a Meta>,
}

/// How clients of a timbr-api authenticate.
#[derive(Debug)]
pub struct Authentication<'a> {
    /// Who it is.
    pub meta: &'a Meta,
    /// What it says.
    pub spec: &'a JwtAuthenticationSpec,
    /// The tenants of the same installation.
    pub tenants: Vec<(&'a Meta, &'a JwtTenantSpec)>,
}

impl<'a> Setup<'a> {
    /// Of a namespace.
    pub fn new(judged: &'a Judged<'_>, namespace: &str) -> Self {
        let entra = judged.settings.entra();
        let here = || judged.objects.ours.iter().filter(|ours| ours.object.meta().namespace == namespace);
        let mut setup = Self { entra, authentications: vec![], providers: vec![], not_accepted: vec![] };
        for installation in judged.installations.iter().filter(|it| it.snapshot.key.namespace == namespace) {
            let specs = || here().filter(|ours| is_accepted(ours, installation)).filter_map(spec);
            let tenants = specs().filter_map(|(meta, spec)| match spec {
                Spec::JwtTenant(spec) => Some((meta, spec)),
                _ => None,
            });
            let tenants: Vec<_> = tenants.collect();
            for (meta, spec) in specs() {
                match spec {
                    Spec::JwtAuthentication(spec) => {
                        setup.authentications.push(Authentication { meta, spec, tenants: tenants.clone() });
                    }
                    Spec::ExternalTokenProvider(spec) => setup.providers.push((meta, spec)),
                    _ => {}
                }
            }
        }
        let is_asked = |kind| matches!(kind, Kind::JwtAuthentication | Kind::JwtTenant | Kind::ExternalTokenProvider);
        let is_left = |ours: &&Ours| {
            is_asked(ours.object.meta().kind) && !judged.installations.iter().any(|it| is_accepted(ours, it))
        };
        setup.not_accepted = here().filter(is_left).map(|ours| ours.object.meta()).collect();
        setup
    }
}

fn is_accepted(ours: &Ours, installation: &Installation) -> bool {
    let meta = ours.object.meta();
    ours.stands() && installation.plan.resources.iter().any(|it| it.meta == *meta && it.accepted.is_true())
}

fn spec(ours: &Ours) -> Option<(&Meta, &Spec)> {
    match &ours.object {
        Object::Resource(resource) => Some((&resource.meta, resource.spec.as_ref().ok()?)),
        Object::Installation(_) => None,
    }
}
