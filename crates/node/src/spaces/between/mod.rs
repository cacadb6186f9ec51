//! What devices tell each other about the spaces that they share.
