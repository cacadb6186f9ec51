//! Tickets for TCP lanes: each is good for one connection of one device, for as long as somebody
//! waits for it.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use logic::{Misbehaved, wire::LinkToken};
use tokio::sync::oneshot;

use super::Halves;

/// All tickets that are out.
#[derive(Clone, Default)]
pub(crate) struct Tickets(Arc<Mutex<HashMap<LinkToken, Entry>>>);

struct Entry {
    device: [u8; 32],
    from: Option<IpAddr>,
    give: oneshot::Sender<Halves>,
}

/// A ticket that is out; dropping it makes it worthless.
pub(crate) struct Ticket {
    pub(crate) token: LinkToken,
    arrival: oneshot::Receiver<Halves>,
    desk: Tickets,
}

impl Ticket {
    /// Waits for the connection. `None` cannot happen while the ticket lives, but for a holder
    /// that vanished between showing it and getting through.
    pub(crate) async fn arrived(mut self) -> Option<Halves> {
        (&mut self.arrival).await.ok()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.desk.lock().remove(&self.token);
    }
}

impl Tickets {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<LinkToken, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A ticket for `device`, which is expected to come from `from`.
    pub(crate) fn issue(&self, device: [u8; 32], from: Option<IpAddr>) -> Ticket {
        let token = LinkToken(crate::random());
        let (give, arrival) = oneshot::channel();
        self.lock().insert(token, Entry { device, from, give });
        Ticket { token, arrival, desk: self.clone() }
    }

    /// Takes in the ticket that `device` shows; the sender leads to whoever waits for it.
    pub(crate) fn redeem(&self, token: LinkToken, device: [u8; 32]) -> Result<oneshot::Sender<Halves>, Misbehaved> {
        let mut tickets = self.lock();
        match tickets.get(&token) {
            None => Err(Misbehaved::LaneTokenUnknown),
            Some(entry) if entry.device != device => Err(Misbehaved::LaneKeyMismatch),
            Some(_) => match tickets.remove(&token) {
                Some(entry) => Ok(entry.give),
                None => Err(Misbehaved::LaneTokenUnknown),
            },
        }
    }

    /// True if somebody at `ip` holds a ticket.
    pub(crate) fn expects(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.lock().values().any(|entry| entry.from == Some(ip))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLDER: [u8; 32] = [1; 32];
    const THIEF: [u8; 32] = [2; 32];

    #[test]
    fn a_ticket_is_good_once_and_for_its_holder_only() {
        let tickets = Tickets::default();
        let ticket = tickets.issue(HOLDER, None);
        let token = ticket.token;
        assert_eq!(tickets.redeem(token, THIEF).err(), Some(Misbehaved::LaneKeyMismatch));
        assert!(tickets.redeem(token, HOLDER).is_ok());
        assert_eq!(tickets.redeem(token, HOLDER).err(), Some(Misbehaved::LaneTokenUnknown));
    }

    #[test]
    fn a_ticket_nobody_waits_for_is_worthless() {
        let tickets = Tickets::default();
        let token = tickets.issue(HOLDER, None).token;
        assert_eq!(tickets.redeem(token, HOLDER).err(), Some(Misbehaved::LaneTokenUnknown));
        assert!(tickets.lock().is_empty());
    }

    #[test]
    fn expects_only_addresses_of_ticket_holders() {
        let tickets = Tickets::default();
        let here = IpAddr::from([192, 0, 2, 1]);
        let ticket = tickets.issue(HOLDER, Some(here));
        assert!(tickets.expects("::ffff:192.0.2.1".parse().unwrap()));
        assert!(!tickets.expects(IpAddr::from([192, 0, 2, 2])));
        drop(ticket);
        assert!(!tickets.expects(here));
    }
}
