//! Makes `world/` anew: `cargo run --example world` in `fuzz/`. Only needed when a format changes.

use seal::SealIdentity;
use seal::file::{SealTo, encrypt};
use seal::pki::{
    Bundle, CrlRequest, Issuer, MemberRequest, Role, Validity, issue_crl, issue_device, issue_member, issue_root,
};
use warren_fuzz::world::{FOUNDED, LIFETIME, PLAIN, device_key, member_key, root_key};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let validity = Validity::starting(FOUNDED, LIFETIME);
    let identity = SealIdentity::generate();
    let recipient = identity.recipient();
    let (root_key, ada_key, bea_key) = (root_key(), member_key(0), member_key(1));
    let root = issue_root(&root_key, "Fox Hole", validity)?;
    let ada_request = MemberRequest { member: ada_key.id(), name: "Ada", role: Role::Admin, recipient: &recipient };
    let ada = issue_member(&Issuer::root(&root_key, &root)?, &ada_request, validity)?;
    let bea_request = MemberRequest { member: bea_key.id(), name: "Bea", role: Role::Editor, recipient: &recipient };
    let bea = issue_member(&Issuer::member(&ada_key, &ada)?, &bea_request, validity)?;
    let desk = issue_device(&Issuer::member(&ada_key, &ada)?, device_key(0).id(), "desk", validity)?;
    let lap = issue_device(&Issuer::member(&bea_key, &bea)?, device_key(1).id(), "lap", validity)?;
    let issuers = [Issuer::root(&root_key, &root)?, Issuer::member(&ada_key, &ada)?, Issuer::member(&bea_key, &bea)?];
    let list = |issuer| issue_crl(issuer, &CrlRequest { number: 1, revoked: &[], validity });
    let crls = issuers.iter().map(list).collect::<Result<Vec<_>, _>>()?;
    let bundle = Bundle { certificates: vec![root.clone(), ada.clone(), bea.clone(), desk, lap], crls };
    std::fs::create_dir_all("world")?;
    std::fs::write("world/circle.pem", bundle.to_pem())?;
    std::fs::write("world/identity.txt", identity.to_text().as_bytes())?;
    for (name, armour) in [("world/plain.age", false), ("world/plain.age.txt", true)] {
        let mut sealed = Vec::new();
        encrypt(PLAIN, &mut sealed, SealTo::Recipients(std::slice::from_ref(&recipient)), armour)?;
        std::fs::write(name, sealed)?;
    }
    Ok(())
}
