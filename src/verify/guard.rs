//! Where a URL that a resource names may lead: not into the operator's own network, where a request of the
//! operator's reaches what its author cannot.
//!
//! What counts is the address that is connected to, and not the name. So whoever connects asks here for each
//! address; behind a proxy, which looks names up by itself, only the name can be judged.

use std::{
    collections::BTreeSet,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use reqwest::Url;
use url::Host;

/// What may be connected to.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// Networks that are allowed by a flag.
    pub allowed: Vec<IpNet>,
    /// Suffixes of the cloud's own names, as `.vault.azure.net`: private links lead them to private addresses.
    pub suffixes: Vec<String>,
    /// The API server's addresses.
    pub api_server: BTreeSet<IpAddr>,
}

/// Why a URL, or an address, is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The URL itself.
    #[error("{0}")]
    Url(&'static str),
    /// A name that means the machine itself, or what only the cluster knows.
    #[error("{0} is a name of the operator's own network")]
    Name(String),
    /// The address.
    #[error("{host} leads to {address}, {class}")]
    Address {
        /// What the URL names.
        host: String,
        /// Where it leads.
        address: IpAddr,
        /// What is there.
        class: Class,
    },
}

/// What an address belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Anybody may reach it.
    Public,
    /// A private network.
    Private,
    /// The machine itself.
    Loopback,
    /// The machine's own link.
    LinkLocal,
    /// A cloud's metadata service.
    Metadata,
    /// The API server of this cluster.
    ApiServer,
    /// No single machine.
    Nobody,
}

/// What can be done about it stands in the same sentence.
impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::Public => "a public address",
            Class::Private => {
                "an address of a private network; name a public one, or let the operator's flag --allow-cidr contain it"
            }
            Class::Loopback => {
                "the operator's own machine; name another, or give the operator an --allow-cidr within 127.0.0.0/8 or ::1/128"
            }
            Class::LinkLocal => {
                "a link-local address; name another, or give the operator an --allow-cidr within 169.254.0.0/16 or fe80::/10"
            }
            Class::Metadata => "a cloud's metadata service, which is never asked; name another",
            Class::ApiServer => "the Kubernetes API server, which is never asked on a resource's account; name another",
            Class::Nobody => "no address of a single machine; name another",
        })
    }
}

const LOOPBACK: [IpNet; 2] = [v4(127, 0, 0, 0, 8), v6([0, 0, 0, 0, 0, 0, 0, 1], 128)];
const LINK_LOCAL: [IpNet; 2] = [v4(169, 254, 0, 0, 16), v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10)];
/// RFC 1918, RFC 6598, RFC 6890, RFC 2544, RFC 4193, RFC 3879 (site-local, withdrawn and still routed here and there).
const PRIVATE: [IpNet; 8] = [
    v4(10, 0, 0, 0, 8),
    v4(172, 16, 0, 0, 12),
    v4(192, 168, 0, 0, 16),
    v4(100, 64, 0, 0, 10),
    v4(192, 0, 0, 0, 24),
    v4(198, 18, 0, 0, 15),
    v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),
    v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10),
];
/// "This" network, multicast, reserved and broadcast; unspecified, multicast, discarded.
const NOBODY: [IpNet; 6] = [
    v4(0, 0, 0, 0, 8),
    v4(224, 0, 0, 0, 4),
    v4(240, 0, 0, 0, 4),
    v6([0; 8], 128),
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),
    v6([0x0100, 0, 0, 0, 0, 0, 0, 0], 64),
];
/// Azure, AWS and others; Azure's wire server; Alibaba; AWS by IPv6.
const METADATA: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length))
}

const fn v6(segments: [u16; 8], length: u8) -> IpNet {
    let [a, b, c, d, e, f, g, h] = segments;
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), length))
}

impl Guard {
    /// Judges all of a URL that can be judged without looking its name up.
    ///
    /// # Errors
    /// Why it is not asked.
    pub fn url(&self, url: &Url) -> Result<(), Refused> {
        if url.scheme() != "https" {
            return Err(Refused::Url("the URL must begin with https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::Url("the URL must have no user and no password before the host"));
        }
        match url.host() {
            Some(Host::Ipv4(address)) => self.address(&address.to_string(), address.into()),
            Some(Host::Ipv6(address)) => self.address(&format!("[{address}]"), address.into()),
            Some(Host::Domain(name)) if is_local(name) => Err(Refused::Name(name.to_owned())),
            Some(Host::Domain(_)) => Ok(()),
            None => Err(Refused::Url("the URL must have a host")),
        }
    }

    /// Judges an address that a host leads to.
    ///
    /// # Errors
    /// Why it is not connected to.
    pub fn address(&self, host: &str, address: IpAddr) -> Result<(), Refused> {
        let address = embedded(address);
        let class = self.class(address);
        let is_allowed = match class {
            Class::Public => true,
            Class::Private => self.is_own(host) || self.allowed.iter().any(|net| net.contains(&address)),
            // A network that is allowed for another reason, as 0.0.0.0/0, opens neither.
            Class::Loopback => self.is_allowed_within(&LOOPBACK, address),
            Class::LinkLocal => self.is_allowed_within(&LINK_LOCAL, address),
            Class::Metadata | Class::ApiServer | Class::Nobody => false,
        };
        if is_allowed { Ok(()) } else { Err(Refused::Address { host: host.to_owned(), address, class }) }
    }

    fn class(&self, address: IpAddr) -> Class {
        let is_in = |nets: &[IpNet]| nets.iter().any(|net| net.contains(&address));
        match () {
            () if METADATA.contains(&address) => Class::Metadata,
            () if self.api_server.iter().any(|server| embedded(*server) == address) => Class::ApiServer,
            () if is_in(&LOOPBACK) => Class::Loopback,
            () if is_in(&LINK_LOCAL) => Class::LinkLocal,
            () if is_in(&PRIVATE) => Class::Private,
            () if is_in(&NOBODY) => Class::Nobody,
            () => Class::Public,
        }
    }

    fn is_allowed_within(&self, nets: &[IpNet], address: IpAddr) -> bool {
        let within = |net: &&IpNet| nets.iter().any(|outer| outer.contains(*net));
        self.allowed.iter().filter(within).any(|net| net.contains(&address))
    }

    /// Whether a name is one of the cloud's own.
    fn is_own(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.suffixes.iter().any(|suffix| host.len() > suffix.len() && host.ends_with(suffix.as_str()))
    }
}

/// The IPv4 address that an IPv6 address stands for, where it is only a way to write or to reach one: mapped
/// (RFC 4291), translated (NAT64, RFC 6052 and 8215), 6to4 (RFC 3056).
fn embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let of = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] => of(high, low),
        // Written so it is withdrawn, and `::` and `::1` are no such addresses.
        [0, 0, 0, 0, 0, 0, high, low] if (high, low) > (0, 1) => of(high, low),
        [0x64, 0xff9b, 0 | 1, .., high, low] => of(high, low),
        [0x2002, high, low, ..] => of(high, low),
        _ => address,
    }
}

/// Names that mean the machine itself, the cluster, or a metadata service, whatever they lead to.
fn is_local(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let ends = |suffix: &str| name == suffix || name.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.'));
    ["localhost", "svc", "cluster.local", "metadata.google.internal"].into_iter().any(ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(allowed: &[&str]) -> Guard {
        Guard {
            allowed: allowed.iter().map(|net| net.parse().unwrap()).collect(),
            suffixes: vec![".vault.azure.net".to_owned()],
            api_server: ["10.96.0.1".parse().unwrap(), "203.0.113.7".parse().unwrap()].into(),
        }
    }

    #[test]
    fn what_may_be_asked_and_what_not() {
        use Class::{ApiServer, LinkLocal, Loopback, Metadata, Nobody, Private};
        let rows = [
            ("20.190.128.1", None),
            ("2603:1006:2000::1", None),
            ("10.0.0.7", Some(Private)),
            ("172.16.0.1", Some(Private)),
            ("172.32.0.1", None),
            ("192.168.1.1", Some(Private)),
            ("100.64.0.1", Some(Private)),
            ("100.128.0.1", None),
            ("192.0.0.8", Some(Private)),
            ("198.19.0.1", Some(Private)),
            ("fd00::1", Some(Private)),
            ("fec0::1", Some(Private)),
            ("127.0.0.1", Some(Loopback)),
            ("127.8.9.1", Some(Loopback)),
            ("::1", Some(Loopback)),
            ("169.254.0.1", Some(LinkLocal)),
            ("fe80::1", Some(LinkLocal)),
            ("169.254.169.254", Some(Metadata)),
            ("168.63.129.16", Some(Metadata)),
            ("100.100.100.200", Some(Metadata)),
            ("fd00:ec2::254", Some(Metadata)),
            ("10.96.0.1", Some(ApiServer)),
            ("203.0.113.7", Some(ApiServer)),
            ("0.0.0.0", Some(Nobody)),
            ("0.1.2.3", Some(Nobody)),
            ("224.0.0.1", Some(Nobody)),
            ("255.255.255.255", Some(Nobody)),
            ("::", Some(Nobody)),
            ("ff02::1", Some(Nobody)),
            ("100::1", Some(Nobody)),
        ];
        for (address, expected) in rows {
            let address: IpAddr = address.parse().unwrap();
            let refused = |class| Refused::Address { host: "h".to_owned(), address, class };
            assert_eq!(guard(&[]).address("h", address).err(), expected.map(refused), "{address}");
        }
    }

    /// However an IPv4 address is written, it is judged as what it is.
    #[test]
    fn an_address_within_an_address() {
        let inner: IpAddr = "169.254.169.254".parse().unwrap();
        let class = |address: &str| guard(&[]).class(embedded(address.parse().unwrap()));
        assert_eq!(
            (class("::ffff:0:1"), class("::ffff:0:0"), class("::1")),
            (Class::Nobody, Class::Nobody, Class::Loopback)
        );
        let outer =
            ["::ffff:a9fe:a9fe", "::a9fe:a9fe", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::1"];
        for address in outer {
            let refused = guard(&["::/0", "0.0.0.0/0"]).address("h", address.parse().unwrap()).unwrap_err();
            let expected = Refused::Address { host: "h".to_owned(), address: inner, class: Class::Metadata };
            assert_eq!(refused, expected, "{address}");
        }
        for address in ["::ffff:8.8.8.8", "::8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"] {
            assert_eq!(guard(&[]).address("h", address.parse().unwrap()), Ok(()), "{address}");
        }
    }

    #[test]
    fn what_a_flag_opens() {
        let is_open = |allowed: &[&str], host: &str, address: &str| {
            guard(allowed).address(host, address.parse().unwrap()).is_ok()
        };
        let rows: [(&[&str], &str, &str, bool); 15] = [
            (&["10.0.0.0/8"], "h", "10.1.2.3", true),
            (&["10.0.0.0/8"], "h", "192.168.1.1", false),
            (&["0.0.0.0/0"], "h", "192.168.1.1", true),
            // Only what is meant for these opens them.
            (&["0.0.0.0/0", "::/0"], "h", "127.0.0.1", false),
            (&["0.0.0.0/0", "::/0"], "h", "::1", false),
            (&["0.0.0.0/0", "::/0"], "h", "169.254.0.1", false),
            (&["127.0.0.1/32"], "h", "127.0.0.1", true),
            (&["127.0.0.1/32"], "h", "127.0.0.2", false),
            (&["::1/128"], "h", "::1", true),
            (&["169.254.1.0/24"], "h", "169.254.1.9", true),
            (&["169.254.169.254/32"], "h", "169.254.169.254", false),
            (&["10.0.0.0/8"], "h", "10.96.0.1", false),
            // A private link.
            (&[], "my.vault.azure.net", "10.1.2.3", true),
            (&[], "MY.VAULT.AZURE.NET.", "10.1.2.3", true),
            (&[], "evilvault.azure.net", "10.1.2.3", false),
        ];
        for (allowed, host, address, expected) in rows {
            assert_eq!(is_open(allowed, host, address), expected, "{allowed:?} {host} {address}");
        }
        // Never where the operator itself is.
        for address in ["127.0.0.1", "169.254.0.1", "169.254.169.254", "10.96.0.1"] {
            assert!(!is_open(&[], "my.vault.azure.net", address), "{address}");
        }
        assert!(!is_open(&[], ".vault.azure.net", "10.1.2.3"), "a suffix is no name");
    }

    #[test]
    fn what_a_url_may_say() {
        let judged = |url: &str| guard(&[]).url(&url.parse().unwrap()).map_err(|refused| refused.to_string());
        let rows = [
            ("https://login.example.com/x", None),
            ("https://8.8.8.8/", None),
            ("http://login.example.com", Some("the URL must begin with https://")),
            ("https://a@login.example.com", Some("the URL must have no user and no password before the host")),
            ("https://:b@login.example.com", Some("the URL must have no user and no password before the host")),
            ("https://localhost/", Some("localhost is a name of the operator's own network")),
            ("https://a.LocalHost./", Some("a.localhost. is a name of the operator's own network")),
            ("https://kubernetes.default.svc/", Some("kubernetes.default.svc is a name of the operator's own network")),
            (
                "https://kubernetes.default.svc.cluster.local/",
                Some("kubernetes.default.svc.cluster.local is a name of the operator's own network"),
            ),
            (
                "https://metadata.google.internal/",
                Some("metadata.google.internal is a name of the operator's own network"),
            ),
            ("https://notlocalhost/", None),
            (
                "https://[fd00::1]/",
                Some(
                    "[fd00::1] leads to fd00::1, an address of a private network; name a public one, or let the operator's flag --allow-cidr contain it",
                ),
            ),
            // Other ways to write 127.0.0.1.
            (
                "https://0x7f.1/",
                Some(
                    "127.0.0.1 leads to 127.0.0.1, the operator's own machine; name another, or give the operator an --allow-cidr within 127.0.0.0/8 or ::1/128",
                ),
            ),
        ];
        for (url, expected) in rows {
            assert_eq!(judged(url).err().as_deref(), expected, "{url}");
        }
    }
}
