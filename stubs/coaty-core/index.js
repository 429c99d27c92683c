// The broker half of the Raft library derives a class from this one when it is loaded; nothing
// here is ever called.
class Controller {}
module.exports = { Controller };
