metadata description = 'Types that several templates use. No resource is declared here.'

@export()
@description('A connected application.')
type application = {
  @description('Required. Its name in provisioning.yaml: lower case letters, digits and single hyphens.')
  @maxLength(40)
  name: string

  @description('Required. Names of the settings that its auth and notify sections mention; never a secret itself.')
  secretSettings: string[]
}

@export()
@description('A function, or a group of functions, with instances that are kept warm.')
type alwaysReadyGroup = {
  @description('Required. function:<name of the function>, or http.')
  name: string

  @description('Required. How many instances.')
  @minValue(1)
  instanceCount: int
}

@export()
@description('Settings of the app, none of them secret. Meaning, unit and default are in shared/config/settings.py.')
type appSettings = {
  @description('Optional. Path of the tenant\'s file inside the app.')
  PROVISIONING_CONFIG: string?

  @description('Optional. Microsoft Graph of a national cloud.')
  GRAPH_BASE_URL: string?

  @description('Optional. When the directory is read: six fields, seconds first.')
  SYNC_SCHEDULE: string?

  @description('Optional. When the house is kept: six fields, seconds first.')
  HOUSEKEEPING_SCHEDULE: string?

  @description('Optional. Address at which Microsoft Graph reaches the app, if it is not the platform\'s own.')
  NOTIFICATION_URL: string?

  @description('Optional. Seconds between the two reads that make an assignment gone.')
  ASSIGNMENT_CONFIRM_SECONDS: string?

  @description('Optional. Seconds that a worker owns an account row.')
  LEASE_SECONDS: string?

  @description('Optional. Seconds for one request to a vendor.')
  VENDOR_TIMEOUT_SECONDS: string?

  @description('Optional. Seconds until a late packet is believed dead.')
  GRACE_MARGIN_SECONDS: string?

  @description('Optional. Seconds after which a queued row is queued again.')
  SWEEP_AFTER_SECONDS: string?

  @description('Optional. Percent of traces that are kept; events, metrics and failures always are.')
  TRACE_SAMPLE_PERCENT: string?
}

@export()
@description('Tags of a resource.')
type tagSet = {
  *: string
}
