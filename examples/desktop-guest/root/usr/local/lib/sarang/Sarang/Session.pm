package Sarang::Session;
# Whose session it is: the login record, and the name that the panel and the welcome in the first terminal show. Both change
# under the lock of the accounts, so a session that starts and a person who arrives do not miss each other.
use strict;
use warnings;
use Sarang::Account;
use Sarang::LoginRecord;

our $PERSON = '/run/sarang/person';

# The session of process $pid starts.
sub begin {
  my ($pid) = @_;
  my $lock = Sarang::Account::lock_accounts();
  show(Sarang::Account::current(), $pid);
}

# Makes the account that of a person, as Sarang::Account::apply wants them, and shows it if there is a session.
sub personalise {
  my ($want) = @_;
  my $lock = Sarang::Account::lock_accounts();
  my $account = Sarang::Account::apply($want);
  show($account, 0) if -e $PERSON;
  return $account;
}

# The file is followed by its readers: its last line is the name.
sub show {
  my ($account, $pid) = @_;
  Sarang::LoginRecord::write(':0', $account->{user}, $pid);
  open my $file, '>>', $PERSON or die "$PERSON: $!\n";
  print {$file} ($account->{name} || $account->{user}) . "\n";
}

1;
