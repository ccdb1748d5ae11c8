using 'main.bicep'

// The applications of provisioning.yaml and the settings their secrets are in. `python -m tests.infra` compares the two.
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
