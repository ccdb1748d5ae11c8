metadata name = 'SCIM provisioner'
metadata description = 'Everything the provisioner needs in one resource group. Deploy it as often as you like: a second run changes nothing.'

import { alwaysReadyGroup, application, appSettings } from 'types.bicep'

targetScope = 'resourceGroup'

// --- Parameters -----------------------------------------------------------------------------------------------------

@description('Required. The connected applications: the names they have in provisioning.yaml, and the names of the settings that hold their secrets. Never a secret itself.')
param applications application[]

@description('Required. Addresses that get an e-mail when an alert fires.')
@minLength(1)
param alertEmails string[]

@description('Optional. Start of every resource name: letters and digits, a letter first; capitals are made small, because a storage account has none. The rest of a name is made from the resource group, so that it is unique.')
@minLength(2)
@maxLength(8)
param baseName string = 'scim'

@description('Optional. Region of everything.')
param location string = resourceGroup().location

@description('Optional. Python of the app. 3.13 starts faster.')
@allowed(['3.13', '3.12'])
param pythonVersion string = '3.13'

@description('Optional. Memory of an instance in MB. 512 is enough for one small application; 2048 also brings a whole core.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int = 2048

@description('Optional. Most instances at once. Azure documents it in two ways: for the whole app, or for each function. Left out: one for each timer, one for each queue, two spare, but at most 40. For the whole app that lets every function of up to 17 applications run at once, where fewer would make them wait for each other; for each function it is no more than the least that Azure used to allow. No number floods a vendor: all instances share its rate, and more of them only wait for it. Set 40 where a region refuses less.')
@minValue(1)
@maxValue(1000)
param maximumInstanceCount int?

@description('Optional. Instances kept warm, as {name: \'function:sync_directory\', instanceCount: 1}. They cost money all day; a cold start costs a few seconds once.')
param alwaysReady alwaysReadyGroup[] = []

@description('Optional. Spread the app over availability zones.')
param zoneRedundant bool = false

@description('Optional. Let Microsoft Graph announce changes of users and groups, so that they are read within seconds. The vault then waits for one more secret, which every notification carries.')
param changeNotifications bool = true

@description('Optional. Settings of the app that differ from their defaults. Bounds are checked when the app starts.')
param settings appSettings = {}

@description('Optional. How storage is replicated. Queues, rows and the provisioning log live in it; zone redundant by default.')
@allowed(['Standard_LRS', 'Standard_ZRS', 'Standard_GRS', 'Standard_GZRS'])
param storageReplication string = 'Standard_ZRS'

@description('Optional. Close storage and vault to the internet and reach them through private endpoints in a network of their own; everybody else is reached through a NAT gateway, from one address. Whoever puts secrets into the vault must then be inside that network too.')
param privateNetwork bool = false

@description('Optional. Address space of that network; a /24 is enough.')
param networkAddressPrefix string = '10.72.0.0/24'

@description('Optional. Take back the vault that this resource group had before it was deleted, with its secrets. A deleted vault keeps its name for 90 days and nobody can purge it, so the deployment fails without this, and only then needs it.')
param recoverVault bool = false

@description('Optional. Object ids of the people or groups who put secrets into the vault. Owners of the subscription cannot do so by themselves.')
param secretOfficers string[] = []

@description('Optional. Days that logs are kept. The provisioning log in storage is trimmed by the app after 30.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

@description('Optional. security: who read the vault, and metrics. everything: also each storage call and the host\'s own log, for finding a fault; it may cost more than the app.')
@allowed(['security', 'everything'])
param diagnostics string = 'security'

@description('Optional. Accounts escrowed within an hour at one application before somebody gets an e-mail.')
@minValue(1)
param escrowsBeforeAlert int = 20

@description('Optional. Name of the azd environment, set by azd itself.')
param environmentName string = ''

// --- Variables ------------------------------------------------------------------------------------------------------

var base = toLower(baseName)
var suffix = uniqueString(resourceGroup().id, base)
var tags = empty(environmentName) ? {} : { 'azd-env-name': environmentName }

// Two queues for every application, one of which overtakes, that of change notifications, and the poison queue of each.
// The names are those of shared/storage/queue_names.py and shared/config/queue_names.py; tests/infra compares them.
var workQueues = concat(flatten(map(applications, each => [
  'provision-${each.name}'
  'provision-${each.name}-first'
])), ['directory-changed'])
var queueNames = concat(workQueues, map(workQueues, queue => '${queue}-poison'))
var tableNames = [
  'directory'
  'accounts'
  'applications'
  'checkpoint'
  'audit'
]

// One secret for every setting that holds one. The vault allows no underscore in a name.
var notificationSettings = changeNotifications ? ['NOTIFICATION_CLIENT_STATE'] : []
var secretSettings = union(flatten(map(applications, each => each.secretSettings)), notificationSettings)

var timerCount = 2
var spareCount = 2
var instanceCount = maximumInstanceCount ?? min(40, timerCount + length(workQueues) + spareCount)

// --- Resources and modules ------------------------------------------------------------------------------------------

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: 'id-${base}-${suffix}'
  location: location
  tags: tags
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  params: {
    baseName: '${base}-${suffix}'
    location: location
    retentionDays: logRetentionDays
    tags: tags
  }
}

module network 'modules/network.bicep' = if (privateNetwork) {
  name: 'network'
  params: {
    name: 'vnet-${base}-${suffix}'
    location: location
    addressPrefix: networkAddressPrefix
    storageName: storage.outputs.name
    vaultName: vault.outputs.name
    tags: tags
  }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  params: {
    name: 'st${base}${suffix}'
    location: location
    replication: storageReplication
    queueNames: queueNames
    tableNames: tableNames
    isPrivate: privateNetwork
    workspaceId: monitoring.outputs.workspaceId
    logsEveryCall: diagnostics == 'everything'
    tags: tags
  }
}

module vault 'modules/vault.bicep' = {
  name: 'vault'
  params: {
    name: 'kv-${base}${suffix}'
    location: location
    recovers: recoverVault
    isPrivate: privateNetwork
    workspaceId: monitoring.outputs.workspaceId
    tags: tags
  }
}

module roles 'modules/roles.bicep' = {
  name: 'roles'
  params: {
    principalId: identity.properties.principalId
    secretOfficers: secretOfficers
    storageName: storage.outputs.name
    vaultName: vault.outputs.name
    insightsName: monitoring.outputs.insightsName
  }
}

module app 'modules/app.bicep' = {
  name: 'app'
  params: {
    name: '${base}-${suffix}'
    location: location
    identityName: identity.name
    pythonVersion: pythonVersion
    instanceMemoryMB: instanceMemoryMB
    maximumInstanceCount: instanceCount
    alwaysReady: alwaysReady
    zoneRedundant: zoneRedundant
    subnetId: network.?outputs.appSubnetId
    storageName: storage.outputs.name
    deploymentContainerName: storage.outputs.deploymentContainerName
    vaultName: vault.outputs.name
    insightsName: monitoring.outputs.insightsName
    workspaceId: monitoring.outputs.workspaceId
    logsHost: diagnostics == 'everything'
    secretSettings: secretSettings
    settings: settings
    tags: tags
  }
  // With its roles in place the first start finds its storage and its secrets.
  dependsOn: [
    roles
  ]
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  params: {
    baseName: '${base}-${suffix}'
    location: location
    insightsId: monitoring.outputs.insightsId
    emails: alertEmails
    escrowsBeforeAlert: escrowsBeforeAlert
    tags: tags
  }
}

module workbook 'modules/workbook.bicep' = {
  name: 'workbook'
  params: {
    location: location
    insightsId: monitoring.outputs.insightsId
    tags: tags
  }
}

// --- Outputs: names and ids, never a secret -------------------------------------------------------------------------

@description('Name of the function app.')
output FUNCTION_APP_NAME string = app.outputs.name

@description('Vault that waits for the secrets.')
output KEY_VAULT_NAME string = vault.outputs.name

@description('Secrets the vault must hold: the setting\'s name with hyphens.')
output KEY_VAULT_SECRETS string[] = map(secretSettings, setting => replace(setting, '_', '-'))

@description('Storage account of queues, tables and code.')
output STORAGE_ACCOUNT_NAME string = storage.outputs.name

@description('Object id of the identity, for graph/permissions.bicep.')
output IDENTITY_PRINCIPAL_ID string = identity.properties.principalId

@description('Address from which a private network reaches vendors and Microsoft Graph, for vendors that allow only known ones; empty without.')
output OUTBOUND_ADDRESS string = network.?outputs.outboundAddress ?? ''

@description('Name of the identity, as Entra shows it among enterprise applications.')
output IDENTITY_NAME string = identity.name
