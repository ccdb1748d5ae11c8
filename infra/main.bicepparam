using 'main.bicep'

// The applications that you enable in provisioning.yaml and the settings their secrets are in; `./dev check` compares the two.
// Names only: a template that made the secrets would take their values as parameters, which a deployment keeps. People
// put the values into the vault, and the app's settings refer to them there.
param applications = [
  {
    name: 'fuze'
    secretSettings: ['FUZE_TOKEN']
  }
  {
    name: 'purecloud'
    secretSettings: ['PURECLOUD_CLIENT_ID', 'PURECLOUD_CLIENT_SECRET']
  }
]

param alertEmails = [
  'identity-team@example.com'
]

// azd sets it; with az it stays empty.
param environmentName = readEnvironmentVariable('AZURE_ENV_NAME', '')
