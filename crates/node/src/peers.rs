//! Members and devices as the API shows them, and what their owner says about them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use api::types::{AcceptRule, AddPeer, ByName, Peer, PeerQuery, Remove, Rename, Verify};
use api::{ApiError, ApiResult, ErrorCode};
use logic::audit::Event;
use logic::roster::{ID_PREFIX, Standing};
use net::{KeyAgreement, Link};
use seal::{DeviceId, MemberId};

use crate::book::Note;
use crate::circle::CircleError;
use crate::circle::Snapshot;
use crate::errors::database;
use crate::files::Readers;
use crate::links::path;
use crate::naming::{Found, meant, unknown};
use crate::running::Running;

impl Running {
    /// The circle, or the error that says how to get one.
    pub(crate) fn circle_now(&self) -> ApiResult<Arc<Snapshot>> {
        Ok(self.circle.now()?)
    }

    /// All devices but this one, by name.
    pub(crate) fn peers(&self, query: &PeerQuery) -> ApiResult<Vec<Peer>> {
        let now = self.circle_now()?;
        let found = self.found(&now).into_iter().filter(|found| query.removed || !found.is_removed());
        let mut peers: Vec<_> = found.map(|found| self.shown(&found)).collect();
        peers.sort_by(|a, b| (&a.name, &a.device).cmp(&(&b.name, &b.device)));
        Ok(peers)
    }

    /// The first device of whoever a name means, with everything known of it.
    pub(crate) fn peer(&self, request: &ByName) -> ApiResult<Peer> {
        let now = self.circle_now()?;
        let found = self.named(&now, &request.name)?;
        found.first().map(|found| self.shown(found)).ok_or_else(|| unknown(&request.name, []))
    }

    fn found<'a>(&self, now: &'a Snapshot) -> Vec<Found<'a>> {
        let own = self.circle.device();
        let devices = now.view.devices.values().filter(|device| device.device != own);
        devices
            .filter_map(|device| {
                Some(Found {
                    device,
                    member: now.view.members.get(&device.member)?,
                    note: self.book.note(device.member),
                })
            })
            .collect()
    }

    fn shown(&self, found: &Found<'_>) -> Peer {
        let link = self.links.link(found.device.device);
        let trace = self.book.trace(found.device.device);
        let state = match (found.device.standing, found.note.blocked, &link) {
            (Standing::Removed, _, _) => "removed",
            (_, true, _) => "blocked",
            (Standing::Active, false, Some(_)) => "online",
            (Standing::Active | Standing::Lapsed, false, _) => "away",
        };
        let paths = link.as_ref().map(Link::paths);
        let address = paths.as_ref().and_then(|paths| paths.direct).or(trace.address);
        Peer {
            name: found.name().to_owned(),
            member: found.member.shown.clone(),
            device: found.device.name.clone(),
            device_id: found.device.device.to_string(),
            role: found.member.role.to_string(),
            state: state.into(),
            path: link.as_ref().map(|link| path(link).into()),
            bulk: link.as_ref().and_then(Link::lane).map(|lane| lane.as_str().into()),
            address: address.map(|address| address.to_string()),
            rtt_us: paths
                .as_ref()
                .and_then(|paths| paths.rtt)
                .map(|rtt| u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX)),
            last_seen: if link.is_some() { Some(crate::clock::now().0) } else { trace.last_seen.map(|at| at.0) },
            verified: found.note.verified,
            safety_words: self.words_with(found.member.member),
            key_agreement: link
                .as_ref()
                .and_then(Link::key_agreement)
                .map(|agreement: KeyAgreement| agreement.to_string()),
            auto_accept: found.note.auto_accept,
            certificate_ends_at: found.device.ends_at.0,
        }
    }

    /// The words that this member and another one both see: made from both member keys, whoever looks.
    pub(crate) fn words_with(&self, other: MemberId) -> String {
        let Ok(own) = self.circle.member() else { return String::new() };
        self.circle.read(|roster| logic::pair::safety_words(roster.circle(), own, other)).unwrap_or_default()
    }

    /// Devices of the one member that a name means.
    fn named<'a>(&self, now: &'a Snapshot, name: &str) -> ApiResult<Vec<Found<'a>>> {
        match meant(self.found(now), name) {
            Err(error) if error.code == ErrorCode::NotFound && self.is_self(now, name) => {
                Err(ApiError::new(ErrorCode::NotFound, format!("{name} is you: name somebody else in the circle")))
            }
            meant => meant,
        }
    }

    /// True if a name means this member, or this device.
    fn is_self(&self, now: &Snapshot, name: &str) -> bool {
        let Some(own) = now.view.devices.get(&self.circle.device()) else { return false };
        let Some(member) = now.view.members.get(&own.member) else { return false };
        let key = seal::pki::name_key(name);
        let names = [member.shown.clone(), format!("{}/{}", member.shown, own.name)];
        names.iter().any(|own| seal::pki::name_key(own) == key)
            || name.len() >= ID_PREFIX && own.device.to_string().starts_with(&name.to_lowercase())
    }

    /// The first device of whoever a name means, this member included; for looking at certificates.
    pub(crate) fn any_device_named(&self, name: &str) -> ApiResult<DeviceId> {
        let now = self.circle_now()?;
        if self.is_self(&now, name) { Ok(self.circle.device()) } else { Ok(self.named(&now, name)?[0].device.device) }
    }

    /// To whom a file is to be sealed: those named, and always this member.
    pub(crate) fn readers(&self, request: &api::types::Encrypt) -> ApiResult<Readers> {
        if let Some(passphrase) = &request.passphrase {
            return Ok(Readers::Passphrase(seal::Passphrase::new(passphrase.0.clone())));
        }
        Ok(Readers::Members(self.recipients(&request.to)?))
    }

    /// Members by name and recipient; this member comes last.
    pub(crate) fn recipients(&self, to: &[String]) -> ApiResult<Vec<(String, seal::SealRecipient)>> {
        let now = self.circle_now()?;
        let mut readers = Vec::new();
        for name in to.iter().filter(|name| !self.is_self(&now, name)) {
            let found = self.named(&now, name)?;
            let member = found[0].member;
            if member.standing != Standing::Active {
                return Err(ApiError::new(ErrorCode::NotAllowed, format!("{name} is no member any more")));
            }
            let recipient = member
                .recipient
                .clone()
                .ok_or_else(|| ApiError::new(ErrorCode::NotAllowed, format!("no sealing key of {name} is known")))?;
            readers.push((member.shown.clone(), recipient));
        }
        let own = self.circle.member()?;
        let own_name =
            now.view.members.get(&own).map_or_else(|| "this member".to_owned(), |member| member.shown.clone());
        readers.push((own_name, self.keyring.seal.recipient()));
        Ok(readers)
    }

    /// The one device that a name means, for transfers.
    pub(crate) fn device_named(&self, name: &str) -> ApiResult<DeviceId> {
        let now = self.circle_now()?;
        let found = self.named(&now, name)?;
        let active: Vec<_> = found.iter().filter(|found| found.device.standing == Standing::Active).collect();
        match active.as_slice() {
            [] => Err(ApiError::new(
                ErrorCode::NotAllowed,
                format!("{name} is no member any more, or its certificate has ended"),
            )),
            [one] if one.note.blocked => Err(ApiError::new(ErrorCode::NotAllowed, format!("{name} is blocked"))
                .hint(format!("`warren peers unblock {name}` ends that"))),
            [one] => Ok(one.device.device),
            several => {
                let online: Vec<_> =
                    several.iter().filter(|found| self.links.link(found.device.device).is_some()).collect();
                match online.as_slice() {
                    [one] => Ok(one.device.device),
                    _ => {
                        let names: Vec<_> = several.iter().map(|found| found.full_name()).collect();
                        Err(ApiError::new(ErrorCode::BadRequest, format!("{name} has several devices"))
                            .hint(format!("choose one of {}", names.join(", "))))
                    }
                }
            }
        }
    }

    /// Every member's devices that transfers to all go to.
    pub(crate) fn everybody(&self) -> ApiResult<Vec<DeviceId>> {
        let now = self.circle_now()?;
        let mut per_member: HashMap<MemberId, DeviceId> = HashMap::new();
        for found in self
            .found(&now)
            .into_iter()
            .filter(|found| found.device.standing == Standing::Active && !found.note.blocked)
        {
            let online = self.links.link(found.device.device).is_some();
            let slot = per_member.entry(found.member.member).or_insert(found.device.device);
            if online {
                *slot = found.device.device;
            }
        }
        let mut devices: Vec<_> =
            per_member.into_values().filter(|device| Some(*device) != self.own_device()).collect();
        devices.sort();
        if devices.is_empty() {
            return Err(ApiError::new(ErrorCode::NotFound, "nobody else is in the circle yet")
                .hint("`warren invite` makes an invitation"));
        }
        Ok(devices)
    }

    fn own_device(&self) -> Option<DeviceId> {
        Some(self.circle.device())
    }

    /// Changes what is said about the member that a name means.
    fn say(&self, name: &str, change: impl FnOnce(&mut Note)) -> ApiResult<(MemberId, Peer)> {
        let now = self.circle_now()?;
        let found = self.named(&now, name)?;
        let member = found[0].member.member;
        self.book.change(member, change).map_err(database)?;
        self.links.choose();
        self.hub.send(api::types::Event::Peers);
        let fresh =
            Found { note: self.book.note(member), ..found.into_iter().next().ok_or_else(|| unknown(name, []))? };
        Ok((member, self.shown(&fresh)))
    }

    pub(crate) fn verify(&self, request: &Verify) -> ApiResult<Peer> {
        let (_, peer) = self.say(&request.name, |note| note.verified = request.verified)?;
        self.journal.note(Event::PeerVerified { who: self.who_named(&peer), verified: request.verified });
        Ok(peer)
    }

    pub(crate) fn block(&self, request: &ByName, blocked: bool) -> ApiResult<Peer> {
        let (_, peer) = self.say(&request.name, |note| note.blocked = blocked)?;
        let who = self.who_named(&peer);
        self.journal.note(if blocked { Event::PeerBlocked { who } } else { Event::PeerUnblocked { who } });
        Ok(peer)
    }

    pub(crate) fn rename(&self, request: &Rename) -> ApiResult<Peer> {
        let now = self.circle_now()?;
        let pet_name = request.pet_name.trim();
        if !pet_name.is_empty() {
            seal::pki::valid_name(pet_name)
                .map_err(|e| ApiError::new(ErrorCode::BadRequest, format!("{pet_name:?} is no name: {e}")))?;
            let member = self.named(&now, &request.name)?[0].member.member;
            let key = seal::pki::name_key(pet_name);
            let has_it = |other: &Found<'_>| !other.is_removed() && other.is_called(&key);
            if self.is_self(&now, pet_name) {
                return Err(ApiError::new(ErrorCode::Exists, format!("you are called {pet_name} yourself")));
            }
            if now.view.begins_id(pet_name) {
                return Err(ApiError::new(ErrorCode::Exists, format!("a device id begins with {pet_name}")));
            }
            if self.found(&now).iter().any(|other| other.member.member != member && has_it(other)) {
                return Err(ApiError::new(ErrorCode::Exists, format!("somebody else is called {pet_name} already")));
            }
        }
        let (_, peer) = self.say(&request.name, |note| note.pet_name = pet_name.to_owned())?;
        self.journal.note(Event::PeerRenamed { who: self.who_named(&peer), pet_name: pet_name.to_owned() });
        Ok(peer)
    }

    pub(crate) fn accept_rule(&self, request: &AcceptRule) -> ApiResult<Peer> {
        let (_, peer) = self.say(&request.name, |note| note.auto_accept = request.auto_accept)?;
        self.journal.note(Event::PeerRuleSet { who: self.who_named(&peer), auto_accept: request.auto_accept });
        Ok(peer)
    }

    fn who_named(&self, peer: &Peer) -> logic::audit::Who {
        logic::audit::Who { member: Some(peer.member.clone()), device: peer.device_id.parse().ok(), address: None }
    }

    /// Removes a member, or with `member/device` one device of this member.
    pub(crate) fn remove(&self, request: &Remove) -> ApiResult<()> {
        let now = self.circle_now()?;
        let found = self.named(&now, &request.name)?;
        let (member, device) = (found[0].member, found[0].device);
        let who = logic::audit::Who { member: Some(member.shown.clone()), device: None, address: None };
        let reason = (!request.reason.is_empty()).then(|| request.reason.clone());
        if Ok(member.member) == self.circle.member().map_err(|_| ()) {
            self.circle.remove_own_device(device.device)?;
            self.journal.note(Event::DeviceRemoved { who, name: device.name.clone(), reason });
        } else {
            self.circle.remove_member(member.member)?;
            self.journal.note(Event::MemberRemoved { who, reason });
        }
        Ok(())
    }

    /// Connects to an address by hand: asks who is there, and links if it is a member.
    pub(crate) async fn add_peer(&self, request: &AddPeer) -> ApiResult<Peer> {
        let address: SocketAddr = request.address.parse().map_err(|_| {
            ApiError::new(ErrorCode::BadRequest, format!("{} is no address", request.address)).hint("write IP:PORT, for example 192.168.1.20:41641 or [fd00::5]:41641; `warren status` shows a device's own")
        })?;
        let unreachable = |why: String| {
            ApiError::new(ErrorCode::Unreachable, format!("nobody could be reached at {address}: {why}")).hint(
                "is the device up there (`warren status`), is the port right, does a firewall let TCP and UDP through?",
            )
        };
        let now = self.circle_now()?;
        if self.circle.removed() {
            return Err(CircleError::Removed.into());
        }
        let device = self.network.identify(address).await.map_err(|e| unreachable(e.to_string()))?;
        if device == self.circle.device() {
            return Err(ApiError::new(ErrorCode::BadRequest, "this is the device itself"));
        }
        if now.view.devices.get(&device).is_none_or(|view| view.standing == Standing::Removed) {
            return Err(ApiError::new(ErrorCode::NotAllowed, format!("the device at {address} is not in this circle"))
                .hint("invite it: `warren invite` here, `warren join CODE` there"));
        }
        self.links.connect_at(device, address).await.map_err(|e| unreachable(e.to_string()))?;
        self.book.located(device, address).map_err(database)?;
        let peers = self.peers(&PeerQuery::default())?;
        peers.into_iter().find(|peer| peer.device_id == device.to_string()).ok_or_else(|| unknown(&request.address, []))
    }
}
